//! The last lines of a terminal, redrawn in place. Pure: it makes the text to write.

/// What of the terminal belongs to the live display.
///
/// Each change is one piece of text, to be written at once. Lines are written over, not cleared first, so nothing
/// flickers, and the cursor rests at the start of the last line, where the terminal's `^C` is soon written over.
#[derive(Debug, Default)]
pub struct LiveArea {
    /// The columns that each line on the screen takes.
    drawn: Vec<usize>,
}

/// To the end of the line, and to the end of the screen.
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
/// A line that is too long all the same (a name in wide characters) is cut, not wrapped.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

impl LiveArea {
    /// Draws `lines` in place of what is there, on a terminal that is `width` columns wide now.
    pub fn draw(&mut self, lines: &[String], width: usize) -> String {
        let text = lines.iter().map(|line| format!("{line}{CLEAR_LINE}")).collect::<Vec<_>>().join("\r\n");
        let text = format!("{}{NO_WRAP}{text}{WRAP}{CLEAR_BELOW}\r", self.to_top(width));
        self.drawn = lines.iter().map(|line| columns(line)).collect();
        text
    }

    /// Writes `text` for good, and the lines below it.
    pub fn print_above(&mut self, text: &str, lines: &[String], width: usize) -> String {
        let top = self.to_top(width);
        self.drawn.clear();
        format!("{top}{CLEAR_BELOW}{text}\r\n{}", self.draw(lines, width))
    }

    /// Removes the display.
    pub fn clear(&mut self, width: usize) -> String {
        let top = self.to_top(width);
        self.drawn.clear();
        top + CLEAR_BELOW
    }

    /// Moves to the first column of the first line. A terminal that became narrower has broken long lines in several.
    fn to_top(&self, width: usize) -> String {
        let rows = |&columns: &usize| columns.div_ceil(width.max(1)).max(1);
        let above = self.drawn.split_last().map_or(0, |(_, above)| above.iter().map(rows).sum());
        if above > 0 { format!("\r\x1b[{above}A") } else { "\r".to_owned() }
    }
}

/// The columns a line takes: its characters without colour codes.
fn columns(line: &str) -> usize {
    let mut columns = 0;
    let mut in_code = false;
    for c in line.chars() {
        match (in_code, c) {
            (false, '\x1b') => in_code = true,
            (true, 'm') => in_code = false,
            (true, _) => {}
            (false, _) => columns += 1,
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines<const N: usize>(lines: [&str; N]) -> Vec<String> {
        lines.map(str::to_owned).to_vec()
    }

    #[test]
    fn draws_over_what_is_there_and_clears_what_is_left() {
        let mut area = LiveArea::default();
        assert_eq!(
            area.draw(&lines(["one", "two", "sum"]), 80),
            "\r\x1b[?7lone\x1b[K\r\ntwo\x1b[K\r\nsum\x1b[K\x1b[?7h\x1b[J\r"
        );
        assert_eq!(area.draw(&lines(["sum"]), 80), "\r\x1b[2A\x1b[?7lsum\x1b[K\x1b[?7h\x1b[J\r");
        assert_eq!(area.clear(80), "\r\x1b[J");
        assert_eq!(area.clear(80), "\r\x1b[J");
    }

    #[test]
    fn news_stays_above() {
        let mut area = LiveArea::default();
        area.draw(&lines(["a", "b"]), 80);
        let text = area.print_above("news", &lines(["b"]), 80);
        assert_eq!(text, "\r\x1b[1A\x1b[Jnews\r\n\r\x1b[?7lb\x1b[K\x1b[?7h\x1b[J\r");
    }

    #[test]
    fn lines_that_a_narrower_terminal_broke_are_counted_in_full() {
        let mut area = LiveArea::default();
        area.draw(&lines(["\x1b[31m0123456789\x1b[0m", "", "0123456789"]), 80);
        assert!(area.draw(&[], 4).starts_with("\r\x1b[4A"), "3 rows and 1; the cursor is in the first row of the last");
    }
}
