//! Columns for people.

/// Rows under heads, each column as wide as it must be, two spaces between.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut lines = vec![heads.iter().map(|&head| head.to_owned()).collect::<Vec<_>>()];
    lines.extend(rows.iter().cloned());
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<String> =
            line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["disk1".to_owned(), "10 GiB".to_owned()], vec!["d".to_owned(), String::new()]];
        assert_eq!(table(&["NAME", "SIZE"], &rows), "NAME   SIZE\ndisk1  10 GiB\nd\n");
        assert_eq!(table(&["NAME"], &[]), "NAME\n");
    }
}
