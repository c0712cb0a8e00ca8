//! A line of a journal as an event.

use serde::Deserialize;

use super::frequent_lines::FrequentLines;
use crate::event::RunEvent;

/// The content of a line.
#[expect(clippy::large_enum_variant, reason = "nearly all lines are events")]
pub(super) enum EventLine {
    Event(RunEvent),
    /// It is of a program with this version of the events, which is newer.
    Newer(u32),
    /// It is no event.
    Unreadable,
}

impl EventLine {
    /// `known`: the newest version that is read. A newer program may have written events that would look torn, so its version
    /// comes first.
    pub(super) fn read(line: &[u8], frequent: &mut FrequentLines, known: u32) -> Self {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        if let Some(event) = frequent.read(line) {
            return Self::Event(event);
        }
        match serde_json::from_slice(line) {
            Ok(Versioned { version }) if version > known => Self::Newer(version),
            _ => serde_json::from_slice(line).map_or(Self::Unreadable, Self::Event),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EVENT_VERSION;

    #[test]
    fn what_is_no_event_of_today_is_told() {
        let read = |line: &str| match EventLine::read(line.as_bytes(), &mut FrequentLines::default(), EVENT_VERSION) {
            EventLine::Event(_) => "event".to_owned(),
            EventLine::Newer(version) => format!("newer: {version}"),
            EventLine::Unreadable => "unreadable".to_owned(),
        };
        assert_eq!(read("{\"event\":\"checkpointed\",\"stamp\":1}"), "unreadable");
        assert_eq!(read("{\"event\":\"evaluated\",\"stamp\":1}"), "unreadable");
        assert_eq!(read("{\"event\":\"evaluated\",\"version\":99}"), "newer: 99");
        assert_eq!(read("{\"event\":\"dreamt\",\"version\":99}"), "newer: 99");
        assert_eq!(read("{\"event\":\"timestep_density\",\"step\":1,\"density\":[1.5]}"), "event");
    }
}
