"use strict";
(() => {
  const page = document.documentElement;
  const search = document.getElementById("search");
  const found = document.getElementById("found");
  const articles = [...document.querySelectorAll("article[data-search]")];
  const sections = [...document.querySelectorAll("main > section")];
  const buttons = [...document.querySelectorAll("button[data-to]")];
  page.classList.add("live");

  // Each article lists its names as written and without diacritics; a word finds either.
  const look = () => {
    const words = search.value.normalize("NFC").toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const article of articles) {
      const fits = words.every((word) => article.dataset.search.includes(word));
      article.hidden = !fits;
      if (fits) count += 1;
    }
    for (const section of sections) section.hidden = !section.querySelector("article:not([hidden])");
    found.textContent = words.length ? String(count) : "";
  };
  search.addEventListener("input", look);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { search.value = ""; look(); }
  });

  // A link leads to what a search has hidden, too.
  window.addEventListener("hashchange", () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.closest("[hidden]")) {
      search.value = "";
      look();
      target.scrollIntoView();
    }
  });

  for (const button of buttons) {
    button.addEventListener("click", () => {
      page.dataset.language = page.lang = button.dataset.to;
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
    });
  }

  // On paper nothing is folded.
  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const details of folded) details.open = true;
  });
  window.addEventListener("afterprint", () => { for (const details of folded) details.open = false; });
})();
