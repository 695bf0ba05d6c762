//! An explanation as text: an indented tree, the answer first, what refused next, everything else behind it.

use super::{AccountTrace, ConditionTrace, Explanation, RuleTrace, StepTrace, TestTrace};
use crate::decision::Step;
use crate::value::Effect;

/// How a line wants to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// The answer, or the head of a part.
    Heading,
    /// Something that lets the request pass.
    Yes,
    /// Something that refuses it.
    No,
    /// Anything else.
    Plain,
    /// What can be skipped.
    Faint,
}

type Lines = Vec<(Style, String)>;

impl Explanation {
    /// The explanation for people, without colours; ends with a line break.
    pub fn to_text(&self) -> String {
        self.lines().into_iter().map(|(_, line)| line + "\n").collect()
    }

    /// The lines of [`Explanation::to_text`], each with how it wants to be seen.
    pub fn lines(&self) -> Vec<(Style, String)> {
        let mut out = Lines::new();
        let verdict = if self.answer.is_allow() { Style::Yes } else { Style::No };
        out.push((verdict, self.verdict()));
        out.push((Style::Plain, format!("  {}", self.question)));
        if let Some(because) = &self.because {
            out.push((Style::Plain, format!("  because {because}")));
        }
        if let Some(ask) = &self.ask {
            out.push((Style::Plain, format!("  ask {ask}: that would lift this denial")));
        }
        for field in &self.ignored {
            out.push((
                Style::Faint,
                format!("  {field} in the request does not count: the directory owns it"),
            ));
        }
        self.change(&mut out);
        for (i, account) in self.accounts.iter().enumerate() {
            account.lines(i > 0, &mut out);
        }
        out
    }

    fn verdict(&self) -> String {
        let rule = self.rule.as_deref();
        let Some(step) = self.answer.refused_by else {
            return format!("allow, by {}", rule.unwrap_or("a rule"));
        };
        let by = match step {
            Step::Rule => "a deny rule matches",
            Step::Default => "no allow rule matches",
            Step::Scope => "the request lies outside the account's home or the key's scope",
            Step::Boundary => "a boundary does not allow it",
            Step::ActingFor => match &self.broken_chain {
                Some(why) => why,
                None => "an account that it acts for is not allowed",
            },
        };
        match rule {
            Some(rule) => format!("deny, by {rule}: {by}"),
            None => format!("deny: {by}"),
        }
    }

    fn change(&self, out: &mut Lines) {
        if self.answer.is_allow() {
            return;
        }
        out.push((Style::Plain, String::new()));
        let Some(smallest) = &self.smallest_change else {
            out.push((Style::Heading, "no small change of the facts would allow it".to_owned()));
            return;
        };
        out.push((Style::Heading, format!("the smallest change that would allow it, by {}:", smallest.rule)));
        for change in &smallest.changes {
            let mut line = format!("  {}", change.text);
            let details: Vec<String> = [
                change.now.as_ref().map(|now| format!("now {now}")),
                change.example.as_ref().map(|example| format!("{example} would do")),
            ]
            .into_iter()
            .flatten()
            .collect();
            if !details.is_empty() {
                line.push_str(&format!(" ({})", details.join("; ")));
            }
            out.push((Style::Plain, line));
        }
    }
}

impl AccountTrace {
    fn lines(&self, behind: bool, out: &mut Lines) {
        out.push((Style::Plain, String::new()));
        let role = if behind { "behind it: " } else { "" };
        let may = if self.allowed { "is allowed" } else { "is not allowed" };
        out.push((Style::Heading, format!("{role}{} {may}", self.account)));
        for step in &self.steps {
            step.lines(out);
        }
        for miss in &self.near_misses {
            out.push((Style::Faint, format!("        almost: {} fits with {}", miss.rule, miss.needs)));
        }
        if self.near_misses_left_out > 0 {
            out.push((
                Style::Faint,
                format!("        and {} more that almost fit", self.near_misses_left_out),
            ));
        }
    }
}

impl StepTrace {
    fn lines(&self, out: &mut Lines) {
        let (style, mark) = if self.passed { (Style::Yes, "pass") } else { (Style::No, "FAIL") };
        let refused = if self.refused { "   <- refused here" } else { "" };
        out.push((style, format!("  {mark}  {}{refused}", self.text)));
        for rule in &self.rules {
            rule.lines(out);
        }
    }
}

impl RuleTrace {
    fn lines(&self, out: &mut Lines) {
        let style = match (self.matches, self.effect) {
            (true, Effect::Allow) => Style::Yes,
            (true, Effect::Deny) => Style::No,
            (false, _) => Style::Faint,
        };
        let effect = if self.effect == Effect::Allow { "allow" } else { "deny" };
        let answer = if self.matches { "matches" } else { "does not match" };
        let determines = if self.determining { ", and determines" } else { "" };
        let place = self.place.as_ref().map_or(String::new(), |place| format!("   {place}"));
        let line = format!("        {effect} {} in {} {answer}{determines}{place}", self.rule, self.block);
        out.push((style, line));
        if let Some(via) = &self.via {
            out.push((Style::Faint, format!("          {via}")));
        }
        let parts = [("when", &self.when), ("unless", &self.unless)];
        for (word, condition) in parts.into_iter().filter_map(|(w, c)| Some((w, c.as_ref()?))) {
            condition.lines(word, out);
        }
    }
}

impl ConditionTrace {
    fn lines(&self, word: &str, out: &mut Lines) {
        let holds = if self.holds { "holds" } else { "does not hold" };
        out.push((Style::Plain, format!("          {word} {holds}")));
        for test in &self.tests {
            out.push(test.line());
        }
    }
}

impl TestTrace {
    fn line(&self) -> (Style, String) {
        let mark = if self.holds { "yes" } else { "no " };
        let mut line = format!("            {mark}  {}", self.text);
        if let Some(inside) = &self.inside {
            line.push_str(&format!("   in {inside}"));
        }
        let read: Vec<String> = self
            .read
            .iter()
            .map(|read| match &read.value {
                Some(value) => format!("{} = {value}", read.term),
                None => format!("{} is absent", read.term),
            })
            .collect();
        if !read.is_empty() {
            line.push_str(&format!("   [{}]", read.join("; ")));
        }
        (Style::Plain, line)
    }
}
