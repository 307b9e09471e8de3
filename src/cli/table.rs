//! Text in columns.

use super::text::{Part, Style, Text};

/// The first row, with the names of the columns.
pub(super) fn heading(names: &[&str]) -> Vec<Part> {
    names.iter().map(|it| Style::Heading.of(*it)).collect()
}

/// Rows with columns aligned to the left; nothing follows the last text of a line.
pub(super) fn table(rows: &[Vec<Part>]) -> Text {
    let mut widths = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.text.chars().count().max(*width);
        }
    }
    let mut text = Text::default();
    for row in rows {
        let filled = row.iter().rposition(|it| !it.text.trim_end().is_empty());
        for (column, cell) in row.iter().enumerate().take(filled.map_or(0, |it| it + 1)) {
            if Some(column) == filled {
                text.push(cell.style.of(cell.text.trim_end()));
            } else {
                text.push(cell.clone());
                text.push(" ".repeat(widths[column] - cell.text.chars().count() + 2));
            }
        }
        text.push("\n");
    }
    text
}

/// A number with its noun.
pub(super) fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Names in a sentence; of many only the first.
pub(super) fn listed(names: &[String]) -> String {
    match names {
        few if few.len() <= 6 => few.join(", "),
        many => format!("{} and {} more", many[..5].join(", "), many.len() - 5),
    }
}
