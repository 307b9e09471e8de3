//! Damages inventories a little, so that they come near the edges of the grammars.

use crate::support::Random;

/// Pieces that mean something in INI, YAML or Python.
const PIECES: [&str; 58] = [
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    ":",
    ": ",
    "=",
    "#",
    " #",
    ";",
    "'",
    "\"",
    "\\",
    "\n",
    "\r\n",
    "\t",
    " ",
    "  ",
    "-",
    "- ",
    ",",
    "|",
    ">",
    "&a ",
    "*a",
    "!",
    "!!str ",
    "!unsafe ",
    "!vault ",
    "? ",
    "<<: ",
    "---\n",
    "...\n",
    "%YAML 1.1\n",
    "@",
    "`",
    "\u{feff}",
    "\u{85}",
    "\u{2028}",
    "\u{a0}",
    "é",
    "\u{1F600}",
    "\0",
    "\u{7}",
    "0",
    "1:2",
    "~",
    "null",
    "yes",
    "0x",
    "[1:3]",
    "children",
    "vars",
    "hosts",
    "all",
    "_",
];

/// The text with a few pieces put in, cut out, or taken from another place.
pub fn mutate(random: &mut Random, text: &str) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for _ in 0..=random.below(3) {
        let at = random.below(characters.len() + 1);
        match random.below(4) {
            0 | 1 => {
                let piece = PIECES[random.below(PIECES.len())];
                characters.splice(at..at, piece.chars());
            }
            2 => {
                let end = characters.len().min(at + 1 + random.below(4));
                characters.drain(at..end);
            }
            _ => {
                let from = random.below(characters.len() + 1);
                let end = characters.len().min(from + random.below(12));
                let copied = characters[from..end].to_vec();
                characters.splice(at..at, copied);
            }
        }
    }
    characters.into_iter().collect()
}
