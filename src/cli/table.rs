//! Text in columns.

/// Rows with columns aligned to the left; the last column is as long as it is.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let padding = width(column).unwrap_or_default().saturating_sub(cell.chars().count());
            line += cell;
            line += &" ".repeat(padding + 2);
        }
        text += line.trim_end();
        text.push('\n');
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
