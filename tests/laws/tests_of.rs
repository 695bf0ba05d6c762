//! The tests that can be asked of a value, by its type: every operator of the language.

use crate::expr::{E, Writer, in_group, overlap};
use crate::model::{Sort, Ty};
use crate::paths::{Fact, Path};
use crate::values;

const ORDER: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];
const EQUAL: [&str; 2] = ["==", "!="];

impl Writer<'_> {
    /// A test of a path; `guards` gains what its other side needs.
    pub fn about(&mut self, path: &Path, guards: &mut Vec<String>) -> Option<E> {
        let text = &path.text;
        let made = match &path.ty {
            Ty::Bool => match self.dice.below(4) {
                0 => self.compare(path, &EQUAL, guards)?,
                _ => text.clone(),
            },
            Ty::Time => match self.dice.below(5) {
                0 => {
                    let moved = ["+", "-"][self.dice.below(2)];
                    let by = values::duration(self.dice);
                    let op = self.dice.word(&ORDER);
                    let other = self.other(path, guards)?;
                    format!("{text} {moved} {by} {op} {other}")
                }
                1 => {
                    let other = self.env.path(self.v, self.dice, Some(&|ty| *ty == Ty::Time))?;
                    guards.extend(other.guard());
                    let op = self.dice.word(&ORDER);
                    format!("{text} - {} {op} {}", other.text, values::duration(self.dice))
                }
                _ => self.compare(path, &ORDER, guards)?,
            },
            Ty::Int | Ty::Decimal | Ty::Duration | Ty::TimeOfDay => match self.dice.below(6) {
                0 => self.in_some(path, guards)?,
                _ => self.compare(path, &ORDER, guards)?,
            },
            Ty::String => match self.dice.below(5) {
                0 => format!("{text} matches {}", values::pattern(self.dice)),
                1 => self.in_some(path, guards)?,
                _ => self.compare(path, &EQUAL, guards)?,
            },
            Ty::Weekday | Ty::Enum(_) => match self.dice.below(3) {
                0 => self.in_some(path, guards)?,
                _ => self.compare(path, &EQUAL, guards)?,
            },
            Ty::Ip => match self.dice.below(4) {
                0 => self.compare(path, &EQUAL, guards)?,
                1 => self.in_some(path, guards)?,
                2 => {
                    let net = self.env.path(self.v, self.dice, Some(&|ty| *ty == Ty::Cidr))?;
                    guards.extend(net.guard());
                    format!("{text} in {}", net.text)
                }
                _ => format!("{text} in {}", values::net(self.dice)),
            },
            Ty::Cidr => match self.dice.below(2) {
                0 => self.compare(path, &EQUAL, guards)?,
                _ => format!("{} in {text}", values::literal(self.v, &Ty::Ip, self.dice)?),
            },
            Ty::Set(of) => self.about_set(path, of, guards)?,
            Ty::Ref(kinds) => return self.about_reference(path, kinds, guards),
            Ty::Record(_) => return None,
        };
        Some(E::Test(made, Vec::new(), Vec::new()))
    }

    /// A literal, or another path, of a path's type.
    fn other(&mut self, path: &Path, guards: &mut Vec<String>) -> Option<String> {
        let ty = path.ty.clone();
        if self.dice.chance(35)
            && let Some(other) = self.env.path(self.v, self.dice, Some(&|t: &Ty| *t == ty))
        {
            guards.extend(other.guard());
            return Some(other.text);
        }
        values::literal(self.v, &path.ty, self.dice)
    }

    fn compare(&mut self, path: &Path, ops: &[&'static str], guards: &mut Vec<String>) -> Option<String> {
        let op = self.dice.word(ops);
        let other = self.other(path, guards)?;
        Some(if self.dice.chance(80) {
            format!("{} {op} {other}", path.text)
        } else {
            format!("{other} {op} {}", path.text)
        })
    }

    /// `x in [a, b]`, `x in SET`, `SET contains x`.
    fn in_some(&mut self, path: &Path, guards: &mut Vec<String>) -> Option<String> {
        let set = Ty::Set(Box::new(path.ty.clone()));
        if self.dice.chance(40)
            && let Some(other) = self.env.path(self.v, self.dice, Some(&|t: &Ty| *t == set))
        {
            guards.extend(other.guard());
            return Some(if self.dice.chance(50) {
                format!("{} in {}", path.text, other.text)
            } else {
                format!("{} contains {}", other.text, path.text)
            });
        }
        let mut items = Vec::new();
        for _ in 0..self.dice.between(1, 3) {
            items.push(self.other(path, guards)?);
        }
        Some(format!("{} in [{}]", path.text, items.join(", ")))
    }

    fn about_set(&mut self, path: &Path, of: &Ty, guards: &mut Vec<String>) -> Option<String> {
        let text = &path.text;
        if self.dice.chance(15) || matches!(of, Ty::Record(_)) {
            return Some(format!("{text} is empty"));
        }
        let same = path.ty.clone();
        match self.dice.below(4) {
            0 => Some(format!("{text} contains {}", values::literal(self.v, of, self.dice)?)),
            1 if !matches!(of, Ty::Ref(_)) => {
                let other = self.env.path(self.v, self.dice, Some(&|t: &Ty| *t == *of))?;
                guards.extend(other.guard());
                Some(format!("{text} contains {}", other.text))
            }
            n => {
                let mode = if n == 2 { "all" } else { "any" };
                let other = match self.env.path(self.v, self.dice, Some(&|t: &Ty| *t == same)) {
                    Some(other) if self.dice.chance(40) => {
                        guards.extend(other.guard());
                        other.text
                    }
                    _ => values::literal(self.v, &same, self.dice)?,
                };
                Some(format!("{text} contains {mode} of {other}"))
            }
        }
    }

    fn about_reference(&mut self, path: &Path, kinds: &[usize], guards: &mut Vec<String>) -> Option<E> {
        let text = &path.text;
        let plain = |made: String| Some(E::Test(made, Vec::new(), Vec::new()));
        match self.dice.below(8) {
            0 => {
                let kind = *self.dice.pick(kinds);
                let name = &self.v.kinds[kind].name;
                let is = vec![Fact::Is(text.clone(), kind)];
                let is_not = vec![Fact::IsNot(text.clone(), kind)];
                Some(if self.dice.chance(50) {
                    E::Test(format!("{text} is {name}"), is, is_not)
                } else {
                    E::Test(format!("{text} is not {name}"), is_not, is)
                })
            }
            1 | 2 => {
                let fits = |ty: &Ty| matches!(ty, Ty::Ref(other) if overlap(kinds, other));
                let other = self.env.path(self.v, self.dice, Some(&fits))?;
                guards.extend(other.guard());
                let op = self.dice.word(&EQUAL);
                plain(format!("{text} {op} {}", other.text))
            }
            3 => {
                let op = self.dice.word(&EQUAL);
                let literal = values::literal(self.v, &path.ty, self.dice)?;
                plain(format!("{text} {op} {literal}"))
            }
            4 => {
                let wanted =
                    |ty: &Ty| matches!(ty, Ty::Set(of) if matches!(&**of, Ty::Ref(o) if overlap(kinds, o)));
                match self.env.path(self.v, self.dice, Some(&wanted)) {
                    Some(set) => {
                        guards.extend(set.guard());
                        plain(format!("{text} in {}", set.text))
                    }
                    None => {
                        let first = values::literal(self.v, &path.ty, self.dice)?;
                        let second = values::literal(self.v, &path.ty, self.dice)?;
                        plain(format!("{text} in [{first}, {second}]"))
                    }
                }
            }
            5 => {
                let v = self.v;
                let wanted = |ty: &Ty| matches!(ty, Ty::Ref(o) if in_group(v, kinds, o).is_some());
                let other = self.env.path(v, self.dice, Some(&wanted))?;
                guards.extend(other.guard());
                plain(format!("{text} in {}", other.text))
            }
            _ => {
                let fits = |k: usize| {
                    let sort = self.v.kinds[k].sort;
                    (sort == Sort::Group || sort == Sort::Scope || sort == Sort::Resource)
                        && in_group(self.v, kinds, &[k]).is_some()
                };
                let above: Vec<usize> = (0..self.v.kinds.len()).filter(|k| fits(*k)).collect();
                let kind = *self.dice.some(&above)?;
                plain(format!("{text} in {}", values::entity(self.v, kind, self.dice)))
            }
        }
    }
}
