//! What is looked for, by kind.

use std::collections::HashMap;

use crate::mails::{Mails, Numbers, dense, made};

/// Needles of a kind.
const EACH: usize = 100;

/// A kind of needle, and some of them.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) needles: Vec<String>,
}

pub(crate) fn kinds(mails: &Mails, count: usize) -> Vec<Kind> {
    let mut numbers = Numbers(11);
    let kind = |name, needles| Kind { name, needles };
    let mut each =
        |one: &dyn Fn(&mut Numbers) -> String| (0..EACH).map(|_| one(&mut numbers)).collect::<Vec<_>>();
    vec![
        kind("rare word", each(&|numbers| rare(mails, count, numbers))),
        kind("any word", each(&|numbers| mails.word(numbers).to_owned())),
        kind("frequent word", frequent(mails)),
        kind("within a word", each(&|numbers| within(mails.word(numbers)))),
        kind("two words side by side", each(&|numbers| phrase(mails, numbers))),
        kind("two letters", each(&|numbers| mails.word(numbers)[1..3].to_owned())),
        kind("found nowhere", each(&|numbers| format!("{}qzj{}", mails.word(numbers), mails.word(numbers)))),
        kind("two Chinese characters", each(&|numbers| dense(numbers).chars().skip(3).take(2).collect())),
    ]
}

/// One that few messages have: made up late, or else long.
fn rare(mails: &Mails, count: usize, numbers: &mut Numbers) -> String {
    let late = made(count) / 2;
    match late {
        0 => (0..8).map(|_| mails.word(numbers)).max_by_key(|word| word.len()).unwrap_or_default().to_owned(),
        _ => mails.made_up(late + numbers.below(late)),
    }
}

/// Those that come most often.
fn frequent(mails: &Mails) -> Vec<String> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let words = mails.lines.iter().flat_map(|line| line.split(' '));
    let words = words.filter(|word| word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_lowercase()));
    words.for_each(|word| *counts.entry(word).or_default() += 1);
    let mut words: Vec<(&str, usize)> = counts.into_iter().collect();
    words.sort_unstable_by_key(|(word, count)| (std::cmp::Reverse(*count), *word));
    words.into_iter().take(EACH).map(|(word, _)| word.to_owned()).collect()
}

/// Four or five letters from the middle.
fn within(word: &str) -> String {
    let end = word.len().min(6);
    word[1..end.max(4)].to_owned()
}

fn phrase(mails: &Mails, numbers: &mut Numbers) -> String {
    loop {
        let line = &mails.lines[numbers.below(mails.lines.len())];
        let words: Vec<&str> = line.split(' ').collect();
        let at = numbers.below(words.len().saturating_sub(1));
        let of_letters = |word: &&str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_alphabetic());
        if let Some([a, b]) = words.get(at..at + 2)
            && of_letters(a)
            && of_letters(b)
        {
            return format!("{a} {b}");
        }
    }
}
