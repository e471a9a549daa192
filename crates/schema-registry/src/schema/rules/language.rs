//! Reading an expression, within bounds.
//!
//! The library has two parsers. The one it uses by default is made by ANTLR and may take time and memory exponential in the
//! number of brackets; this is the other, which goes from left to right and counts its depth.

use cel::{
    IdedExpr,
    common::ast::{ComprehensionExpr, Expr, operators},
    parser::PrattParser,
};
use ldop_types::Text;

/// The variable that is the object a rule stands in.
pub(super) const THIS: &str = "this";

/// Longest expression, in bytes.
const MAX_BYTES: usize = 1_000;
/// Deepest nesting.
const MAX_DEPTH: usize = 24;
/// Most nodes of the tree.
const MAX_NODES: usize = 250;
/// Nesting the parser gives up at; what stands in brackets alone is not in the tree.
const PARSER_DEPTH: u16 = 32;

/// Reads an expression.
///
/// # Errors
///
/// What is wrong with it, and where.
pub(super) fn parse(source: &str) -> Result<IdedExpr, Text> {
    if source.len() > MAX_BYTES {
        return Err(Text::new(
            format!("biểu thức dài quá {MAX_BYTES} byte"),
            format!("the expression is longer than {MAX_BYTES} bytes"),
        ));
    }
    let parser = PrattParser::new()
        .max_recursion_depth(PARSER_DEPTH)
        .error_recovery_limit(1)
        .error_reporting_limit(1)
        .enable_ident_escape_syntax(true);
    let expression = parser.parse(source).map_err(|errors| {
        let first = errors.errors.first();
        let (line, column) = first.map_or((0, 0), |error| error.pos);
        // The library's words are English only; they speak of the schema, which is public.
        let words = first.map_or_else(String::new, |error| error.msg.clone());
        Text::new(
            format!("sai cú pháp CEL ở dòng {line}, cột {column}: {words}"),
            format!("not well-formed CEL at line {line}, column {column}: {words}"),
        )
    })?;
    let mut nodes = 0;
    if measure(&expression, 0, &mut nodes) {
        return Ok(expression);
    }
    Err(Text::new(
        format!("biểu thức lồng quá {MAX_DEPTH} tầng hoặc quá {MAX_NODES} phần"),
        format!("the expression is nested more than {MAX_DEPTH} deep or has more than {MAX_NODES} parts"),
    ))
}

/// Whether a tree is small enough. Goes no deeper than is permitted.
fn measure(expression: &IdedExpr, depth: usize, nodes: &mut usize) -> bool {
    *nodes += 1;
    if depth > MAX_DEPTH || *nodes > MAX_NODES {
        return false;
    }
    let mut fits = |expression: &IdedExpr| measure(expression, depth + 1, nodes);
    match &expression.expr {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).all(fits),
        Expr::Select(select) => fits(&select.operand),
        Expr::List(list) => list.elements.iter().all(fits),
        Expr::Comprehension(it) => {
            [&it.iter_range, &it.accu_init, &it.loop_cond, &it.loop_step, &it.result].into_iter().all(fits)
        }
        Expr::Ident(_) | Expr::Literal(_) => true,
        // What these hold is refused, whatever it is.
        Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => true,
    }
}

/// The members a chain of dots goes through, the variable it begins with first: `this.a.b`.
pub(super) fn path(expression: &IdedExpr) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    let mut left = expression;
    loop {
        match &left.expr {
            Expr::Select(select) if !select.test => {
                names.push(select.field.as_str());
                left = &select.operand;
            }
            Expr::Ident(name) => {
                names.push(name.as_str());
                names.reverse();
                return Some(names);
            }
            _ => return None,
        }
    }
}

/// What a loop does, as its macro was written.
pub(super) struct Loop<'e> {
    pub(super) range: &'e IdedExpr,
    pub(super) variable: &'e str,
    pub(super) body: &'e IdedExpr,
    /// `filter`; the others are true or false.
    pub(super) is_filter: bool,
}

impl<'e> Loop<'e> {
    /// Reads `all`, `exists`, `exists_one` and `filter` back from what the parser has made of them.
    pub(super) fn of(comprehension: &'e ComprehensionExpr) -> Option<Self> {
        let Expr::Call(step) = &comprehension.loop_step.expr else { return None };
        let (body, is_filter) = match (step.func_name.as_str(), step.args.as_slice()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [_, body]) => (body, false),
            (operators::CONDITIONAL, [guard, _, _]) => match &comprehension.accu_init.expr {
                Expr::Literal(_) => (guard, false),
                _ => (guard, true),
            },
            _ => return None,
        };
        // `map` with three arguments looks like `filter`, but for what it appends.
        if is_filter && !appends(&step.args[1], &comprehension.iter_var) {
            return None;
        }
        let variable = comprehension.iter_var.as_str();
        Some(Self { range: &comprehension.iter_range, variable, body, is_filter })
    }
}

fn appends(step: &IdedExpr, variable: &str) -> bool {
    let Expr::Call(call) = &step.expr else { return false };
    let Some(Expr::List(list)) = call.args.get(1).map(|list| &list.expr) else { return false };
    matches!(list.elements.as_slice(), [item] if matches!(&item.expr, Expr::Ident(name) if name == variable))
}
