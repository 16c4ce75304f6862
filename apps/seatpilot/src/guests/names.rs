//! Names of many countries: which given names go with which surnames, and how a language puts them together.

use super::dice::Dice;

/// The word lists; the file says its own grammar.
const LISTS: &str = include_str!("../../data/names.txt");

/// How a full name is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    GivenSurname,
    SurnameGiven,
    /// Without a space, as in Chinese and Korean.
    Joined,
    /// The father's and the mother's, as in Spain.
    TwoSurnames,
}

/// The names of one culture; women and men may bear different forms of a surname.
#[derive(Debug)]
struct Culture {
    order: Order,
    women: Vec<&'static str>,
    men: Vec<&'static str>,
    surnames: Vec<&'static str>,
    surnames_of_women: Vec<&'static str>,
}

/// All cultures, read once.
#[derive(Debug)]
pub(super) struct Names {
    cultures: Vec<Culture>,
}

impl Names {
    /// Reads the word lists.
    pub(super) fn new() -> Self {
        let mut cultures: Vec<Culture> = Vec::new();
        for line in LISTS.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            if let Some((_, order)) = line.split_once("] ") {
                cultures.push(Culture {
                    order: match order {
                        "surname given" => Order::SurnameGiven,
                        "surnamegiven" => Order::Joined,
                        "given surname surname" => Order::TwoSurnames,
                        _ => Order::GivenSurname,
                    },
                    women: Vec::new(),
                    men: Vec::new(),
                    surnames: Vec::new(),
                    surnames_of_women: Vec::new(),
                });
            } else if let (Some(culture), Some((list, names))) = (cultures.last_mut(), line.split_once(": "))
            {
                let names = names.split(", ");
                match list {
                    "women" => culture.women.extend(names),
                    "men" => culture.men.extend(names),
                    "surnames" => culture.surnames.extend(names),
                    _ => culture.surnames_of_women.extend(names),
                }
            }
        }
        Self { cultures }
    }

    /// A full name of one culture.
    pub(super) fn throw(&self, dice: &mut Dice) -> String {
        let Some(culture) = dice.pick(&self.cultures) else { return String::new() };
        let woman = dice.happens(500);
        let (givens, surnames) = match (woman, culture.surnames_of_women.is_empty()) {
            (true, false) => (&culture.women, &culture.surnames_of_women),
            (true, true) => (&culture.women, &culture.surnames),
            (false, _) => (&culture.men, &culture.surnames),
        };
        let given = dice.pick(givens).copied().unwrap_or_default();
        let surname = dice.pick(surnames).copied().unwrap_or_default();
        match culture.order {
            Order::GivenSurname => format!("{given} {surname}"),
            Order::SurnameGiven => format!("{surname} {given}"),
            Order::Joined => format!("{surname}{given}"),
            Order::TwoSurnames => {
                format!("{given} {surname} {}", dice.pick(surnames).copied().unwrap_or_default())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_names_of_more_than_25_cultures_and_each_list_is_full() {
        let names = Names::new();
        assert!(names.cultures.len() >= 40, "{}", names.cultures.len());
        for culture in &names.cultures {
            assert!(culture.women.len() >= 7 && culture.men.len() >= 7, "{culture:?}");
            assert!(culture.surnames.len() >= 8, "{culture:?}");
            let forms = culture.surnames_of_women.len();
            assert!(forms == 0 || forms == culture.surnames.len(), "{culture:?}");
        }
    }

    #[test]
    fn no_name_has_an_empty_part_a_stray_mark_or_a_control_character() {
        let names = Names::new();
        let mut dice = Dice::new(1, 1);
        let thrown: BTreeSet<String> = (0..20_000).map(|_| names.throw(&mut dice)).collect();
        assert!(thrown.len() > 5_000, "{}", thrown.len());
        for name in thrown {
            assert_eq!(name.split_whitespace().collect::<Vec<_>>().join(" "), name);
            assert!(!name.contains([',', ':', '[', '"', '=', '@']) && name.chars().count() >= 2, "{name}");
        }
    }
}
