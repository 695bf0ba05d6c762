//! What policyc says to an author: [`Diagnostic`], its labels, and the one table of codes.
//!
//! In:  nothing; every stage makes diagnostics.
//! Out: data. How it looks on a terminal is `report.rs`, in JSON and SARIF `cli/`.
//! Style: lower case, no full stop, names in backticks; a label says what is there, the help what to do.

use crate::source::Span;
use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The set does not check.
    Error,
    /// The set checks; an error under `--deny-warnings`.
    Warning,
}

macro_rules! codes {
    ($($code:ident $title:literal)*) => {
        /// A stable code; one is never reused for another meaning.
        #[allow(missing_docs)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($code),* }

        impl Code {
            /// Every code, in order.
            pub const ALL: &'static [Code] = &[$(Code::$code),*];

            /// The code as people write it, such as `E0102`.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$code => stringify!($code)),* }
            }

            /// What it is about, in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Code::$code => $title),* }
            }

            /// The long form, in Markdown, with an example.
            pub fn explanation(self) -> &'static str {
                match self { $(Code::$code => include_str!(concat!("../docs/diagnostics/", stringify!($code), ".md"))),* }
            }
        }
    };
}

codes! {
    E0001 "the text does not follow the grammar"
    E0002 "the source is not UTF-8"
    E0003 "a control character that hides or reorders text"
    E0004 "nested too deep"
    E0005 "past a limit"
    E0006 "a bracket that is never closed, or closes nothing"
    E0007 "an operator of another language"
    E0008 "a word of another language"
    E0009 "a text that is never closed, or in single quotes"
    E0010 "a literal that cannot be read"
    E0011 "`and` and `or` mixed without parentheses"
    E0012 "a chained comparison"
    E0013 "not part of this version"
    E0101 "declared twice"
    E0102 "an unknown name"
    E0103 "a cycle"
    E0104 "a name of another sort"
    E0105 "an action that does not apply"
    E0106 "a head that covers nothing"
    E0107 "a place that cannot be"
    E0108 "a reserved name"
    E0201 "wrong type"
    E0202 "an operator that does not fit its operands"
    E0203 "an unknown attribute"
    E0204 "an optional read without a guard"
    E0205 "an unknown variant"
    E0206 "wrong number of arguments"
    E0207 "two sides that can never be equal"
    E0208 "a quantifier inside a quantifier"
    E0209 "a text that is not such a value"
    E0210 "following a reference of a set's element"
    E0211 "a bare name that could mean several things"
    E0212 "arithmetic that the language leaves out"
    E0213 "a condition sees only its parameters and the context"
    E0214 "a type that is not allowed here"
    E0301 "a deny in a role"
    E0302 "`ask` on an allow"
    E0303 "who is missing, or does not belong here"
    E0304 "`supplied` or `stored` where it means nothing"
    E0305 "a clause given twice or out of place"
    E0401 "test data that does not fit the vocabulary"
    E0402 "a test that leaves out what its decision reads"
    E0501 "the data cannot be read"
    E0502 "an unknown or repeated field in the data"
    E0503 "a value in the data of the wrong type"
    E0504 "the data names something that does not exist"
    E0505 "a cycle in the data"
    E0506 "data that contradicts itself or the vocabulary"
    E0510 "a quoted name that the directory does not hold"
    W0301 "a rule that can never match"
    W0302 "an allow that another allow covers"
    W0303 "an allow that a deny buries"
    W0304 "a condition that is always true"
    W0305 "`all` over a set that may be empty, in an allow"
    W0306 "a rule that absence opens"
    W0307 "an `until` that has passed"
    W0308 "`until` on a deny"
    W0309 "declared and never used"
    W0310 "anyone may do anything"
    W0311 "a boundary that refuses everything"
    W0312 "`expect` that silences nothing"
    W0313 "a deny that another deny covers"
    W0510 "a quoted resource that the directory does not hold"
}

impl Code {
    /// Error or warning: the letter of the code says it.
    pub fn severity(self) -> Severity {
        if self.as_str().starts_with('E') { Severity::Error } else { Severity::Warning }
    }

    /// The code with this name, if there is one.
    pub fn parse(text: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|c| c.as_str().eq_ignore_ascii_case(text))
    }
}

/// A place and what is there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is there, in a few words.
    pub text: String,
}

/// A change to the source that would mend it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fix {
    /// What to replace; empty to insert.
    pub span: Span,
    /// By what.
    pub text: String,
}

/// One thing to tell an author.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// Which.
    pub code: Code,
    /// What is wrong, in one line.
    pub message: String,
    /// Where; the first is the place to mend, others help to understand.
    pub labels: Vec<Label>,
    /// What to do.
    pub help: Option<String>,
    /// The same as a change that can be applied.
    pub fix: Option<Fix>,
}

impl Diagnostic {
    /// A diagnostic with its primary label.
    pub fn new(code: Code, span: Span, message: impl Into<String>, label: impl Into<String>) -> Self {
        let labels = vec![Label { span, text: label.into() }];
        Diagnostic { code, message: message.into(), labels, help: None, fix: None }
    }

    /// Adds a second place; does nothing for the built-in (empty) span.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        if span != Span::default() {
            self.labels.push(Label { span, text: text.into() });
        }
        self
    }

    /// Sets what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Sets a change that would mend it.
    #[must_use]
    pub fn fix(mut self, span: Span, text: impl Into<String>) -> Self {
        self.fix = Some(Fix { span, text: text.into() });
        self
    }

    /// The place to mend.
    pub fn span(&self) -> Span {
        self.labels[0].span
    }

    /// Error or warning.
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }
}

/// The known name nearest to a misspelt one, when one is near: about one edit for three letters.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (name.chars().count() / 3).max(1);
    known
        .into_iter()
        .filter(|k| *k != name)
        .map(|k| (strsim::damerau_levenshtein(&name.to_lowercase(), &k.to_lowercase()), k))
        .filter(|(distance, k)| *distance <= most && *distance < k.chars().count())
        .min()
        .map(|(_, k)| k)
}
