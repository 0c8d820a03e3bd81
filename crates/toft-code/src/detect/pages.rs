//! A folder of static pages.

use super::{Kind, Plan};
use std::path::Path;

pub(super) fn plan(folder: &Path, seen: &[String]) -> Option<Plan> {
    let (file, run) = if seen.iter().any(|name| name == "index.html") {
        ("index.html", "toft static")
    } else if folder.join("public/index.html").is_file() {
        ("public/index.html", "toft static public")
    } else {
        return None;
    };
    let mut plan = Plan::new(Kind::Pages, format!("static pages: {file}"));
    plan.fact(file, "the first page");
    plan.web(run, &["toft"]);
    Some(plan)
}
