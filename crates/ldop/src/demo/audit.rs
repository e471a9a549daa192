//! Compares what providers were told with what consumers received.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

use anyhow::Context as _;
use serde::Serialize;

use super::{
    worker::{AGREEMENTS, Given, Taken},
    world::World,
};

/// One question and its answer.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// Question, Vietnamese.
    pub vi: &'static str,
    /// Question, English.
    pub en: &'static str,
    /// How many cases were looked at.
    pub looked_at: u64,
    /// How many were wrong.
    pub wrong: u64,
}

/// All questions.
#[derive(Debug, Clone, Serialize)]
pub struct Audit {
    /// Checks in order.
    pub checks: Vec<Check>,
}

impl Audit {
    /// Asks them.
    pub fn of(world: &World, given: &[Given], taken: &[Taken]) -> anyhow::Result<Self> {
        let mut accepted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut doubled_places = 0;
        let mut places = BTreeSet::new();
        for report in given {
            read_ids(&world.ids_file(&report.system), |dataset, id, place| {
                accepted.entry(dataset.to_owned()).or_default().insert(id.to_owned());
                doubled_places += u64::from(!places.insert(format!("{dataset} {place}")));
            })?;
        }
        let mut received: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for report in taken {
            read_ids(&world.ids_file(&report.system), |agreement, id, _| {
                received.entry(agreement.to_owned()).or_default().insert(id.to_owned());
            })?;
        }
        let (mut entitled, mut missing, mut foreign) = (0, 0, 0);
        let none = BTreeSet::new();
        for (_, agreement, dataset) in AGREEMENTS {
            let accepted = accepted.get(dataset).unwrap_or(&none);
            let received = received.get(agreement).unwrap_or(&none);
            entitled += accepted.len() as u64;
            missing += accepted.difference(received).count() as u64;
            foreign += received.difference(accepted).count() as u64;
        }
        let sum = |of: fn(&super::worker::GivenFigures) -> u64| -> u64 {
            given.iter().flat_map(|g| g.datasets.values()).map(of).sum()
        };
        let sum_taken = |of: fn(&super::worker::TakenFigures) -> u64| -> u64 {
            taken.iter().flat_map(|t| t.agreements.values()).map(of).sum()
        };
        let (planted, caught) = (sum(|f| f.planted), sum(|f| f.caught));
        let delivered = sum_taken(|f| f.received);
        let checks = vec![
            Check {
                vi: "Bản ghi đã nhận đều đến đủ nơi được chia sẻ",
                en: "every accepted record arrived at every consumer entitled to it",
                looked_at: entitled,
                wrong: missing,
            },
            Check {
                vi: "Không có bản ghi nào chưa được nhận mà đã đến nơi",
                en: "nothing arrived that was not accepted",
                looked_at: delivered,
                wrong: foreign,
            },
            Check {
                vi: "Mỗi bản ghi chỉ có một hiệu lực",
                en: "each accepted record has one effect",
                looked_at: sum(|f| f.accepted),
                wrong: doubled_places,
            },
            Check {
                vi: "Lỗi cài sẵn đều bị phát hiện đúng chỗ, đúng quy tắc",
                en: "each planted error was caught, at its place and by its rule",
                looked_at: planted,
                wrong: planted - caught,
            },
            Check {
                vi: "Không từ chối nhầm bản ghi đúng",
                en: "no good record was refused",
                looked_at: sum(|f| f.sent) - planted,
                wrong: sum(|f| f.wrongly_refused),
            },
            Check {
                vi: "Chỉ trường được cấp mới ra khỏi trung tâm",
                en: "only granted fields left the hub",
                looked_at: delivered,
                wrong: sum_taken(|f| f.not_granted),
            },
            Check {
                vi: "Giữ đúng thứ tự theo khóa",
                en: "order within each key was kept",
                looked_at: sum(|f| f.accepted) + delivered,
                wrong: sum(|f| f.out_of_order) + sum_taken(|f| f.out_of_order),
            },
        ];
        Ok(Self { checks })
    }

    /// Whether nothing was wrong, and something was looked at.
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.wrong == 0) && self.checks[0].looked_at > 0
    }
}

/// Lines "<dataset or agreement> <exchange id> <partition> <offset>".
fn read_ids(path: &Path, mut each: impl FnMut(&str, &str, &str)) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("read {}", path.display()))?;
    for line in BufReader::new(file).lines() {
        let line = line?;
        let mut words = line.splitn(3, ' ');
        if let (Some(name), Some(id), Some(place)) = (words.next(), words.next(), words.next()) {
            each(name, id, place);
        }
    }
    Ok(())
}
