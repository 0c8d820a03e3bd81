//! Each effective value of an app, and where it came from.

use crate::decoder::Written;
use crate::leaves::leaves;
use crate::source::{Origin, Sources};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use toft_model::app::AppSpec;

use crate::capabilities::Capabilities;

/// One effective value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedValue {
    /// Dotted key, as `--set` takes it.
    pub key: String,
    /// The value as TOML, in its plain form.
    pub value: String,
    /// As it was written, where that is another spelling of the same value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written: Option<String>,
    /// Where it was said.
    pub origin: Origin,
}

/// Every effective value of an app. Keys and values together are an app file that means the same.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Explained(pub Vec<ExplainedValue>);

impl Explained {
    pub(crate) fn new(
        spec: &AppSpec,
        capabilities: Capabilities,
        written: &BTreeMap<String, Written>,
        sources: &Sources,
    ) -> Self {
        let explain = |(key, value): (String, String)| {
            let said = written.get(&key);
            ExplainedValue {
                written: said
                    .map(|said| &said.text)
                    .filter(|text| **text != value)
                    .cloned(),
                origin: said.map_or(Origin::Default, |said| sources.origin(said.at)),
                key,
                value,
            }
        };
        Self(
            leaves(spec, capabilities)
                .into_iter()
                .map(explain)
                .collect(),
        )
    }

    /// The value of a dotted key.
    pub fn get(&self, key: &str) -> Option<&ExplainedValue> {
        self.0.iter().find(|value| value.key == key)
    }

    /// As an app file that says everything: `key = value` lines, without their origins.
    ///
    /// The offset is no key of the file and is left out.
    pub fn to_toml(&self) -> String {
        let lines = self.0.iter().filter(|value| value.key != "offset");
        lines
            .map(|value| format!("{} = {}\n", value.key, value.value))
            .collect()
    }
}

impl fmt::Display for Explained {
    /// A table: key, value, origin.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |text: &dyn Fn(&ExplainedValue) -> usize, most: usize| {
            self.0
                .iter()
                .map(text)
                .filter(|n| *n <= most)
                .max()
                .unwrap_or(0)
        };
        let keys = width(&|value| value.key.chars().count(), 48);
        let values = width(&|value| value.value.chars().count(), 48);
        for value in &self.0 {
            write!(
                f,
                "{:keys$}  {:values$}  {}",
                value.key, value.value, value.origin
            )?;
            match &value.written {
                Some(written) => writeln!(f, ", written {written}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}
