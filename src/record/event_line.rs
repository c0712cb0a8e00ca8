//! A line of a journal as an event.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::event::{Measure, RunEvent, Stamp};

/// The content of a line.
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
    pub(super) fn read(line: &[u8], known: u32) -> Self {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        if let Some(event) = frequent(line) {
            return Self::Event(event);
        }
        match serde_json::from_slice(line) {
            Ok(Versioned { version }) if version > known => Self::Newer(version),
            _ => serde_json::from_slice(line).map_or(Self::Unreadable, Self::Event),
        }
    }
}

/// The event that nearly all lines of a journal hold. serde reads an enum with the tag `event` in two passes, at a third of the
/// speed.
fn frequent(line: &[u8]) -> Option<RunEvent> {
    if line.starts_with(br#"{"event":"trained","#) {
        let Trained { version: None, stamp, loss, gradient_norm, learning_rate, beta1, wait_seconds } =
            serde_json::from_slice(line).ok()?
        else {
            return None;
        };
        return Some(RunEvent::Trained { stamp, loss, gradient_norm, learning_rate, beta1, wait_seconds });
    }
    if line.starts_with(br#"{"event":"evaluated","#) {
        let Evaluated { version: None, stamp, measures, samples } = serde_json::from_slice(line).ok()? else {
            return None;
        };
        return Some(RunEvent::Evaluated { stamp, measures, samples });
    }
    None
}

/// [`RunEvent::Trained`]; no program has written a version in it.
#[derive(Deserialize)]
struct Trained {
    version: Option<IgnoredAny>,
    stamp: Stamp,
    loss: f64,
    gradient_norm: Option<f64>,
    learning_rate: Option<f64>,
    beta1: Option<f64>,
    wait_seconds: Option<f64>,
}

/// [`RunEvent::Evaluated`], likewise.
#[derive(Deserialize)]
struct Evaluated {
    version: Option<IgnoredAny>,
    stamp: Stamp,
    measures: Vec<Measure>,
    samples: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EVENT_VERSION;

    #[test]
    fn frequent_events_are_read_as_all_others() {
        let stamp =
            Stamp { step: 40, images_seen: 2560, train_seconds: 0.1 + 0.2, wall_seconds: 1e-300, ..Stamp::default() };
        let trained = |wait_seconds| RunEvent::Trained {
            stamp,
            loss: 1.0 / 3.0,
            gradient_norm: Some(f64::MIN_POSITIVE),
            learning_rate: wait_seconds,
            beta1: Some(-0.0),
            wait_seconds,
        };
        let measure = |protocol: &str| Measure { metric: "fid \"é\"".into(), protocol: protocol.into(), value: 7.0 };
        let evaluated =
            RunEvent::Evaluated { stamp, measures: vec![measure(""), measure("by\nlines")], samples: "a.png".into() };
        for event in [trained(None), trained(Some(0.25)), evaluated] {
            let line = serde_json::to_string(&event).unwrap();
            assert_eq!(frequent(line.as_bytes()), Some(event.clone()), "{line}");
            assert_eq!(serde_json::from_str::<RunEvent>(&line).unwrap(), event);
            // With what comes at the end of a line of today's journals.
            let summed = line.strip_suffix('}').unwrap().to_owned() + ",\"line\":17,\"crc32\":\"0a1b2c3d\"}";
            assert_eq!(frequent(summed.as_bytes()), Some(event));
        }
    }

    #[test]
    fn what_is_no_event_of_today_is_told() {
        let read = |line: &str| match EventLine::read(line.as_bytes(), EVENT_VERSION) {
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
