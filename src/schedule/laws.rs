//! Laws of the state: what is written reads back, and no number in it is a panic.

use proptest::prelude::*;
use serde_json::json;

use super::state::{SCHEMA, State};
use crate::plan::time::Time;

/// A state as a file could have it.
fn state() -> impl Strategy<Value = State> {
    let numbers = (any::<u64>(), any::<i64>(), any::<u32>(), 0.0..1e15_f64);
    (numbers, any::<i64>(), "\\PC{0,9}").prop_filter_map("a state", |(numbers, time, outcome)| {
        let (count, bytes, few, sum) = numbers;
        let time = Time(time);
        let last = json!({
            "timestamp": time, "success": true, "items_processed": count, "bytes_freed": bytes,
            "duration_seconds": sum,
        });
        let state = json!({
            "schema": SCHEMA,
            "last_run": time,
            "attempt": time,
            "last_cycle": { "timestamp": time, "outcome": outcome, "success_rate": sum / 1e15 },
            "operations": { "log_rotation": last, "cache_cleanup": last },
            "totals": {
                "cycles": count, "success_rates": sum, "bytes_freed": bytes, "items_processed": count,
            },
            "consecutive_failures": few,
        });
        serde_json::from_value(state).ok()
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back(state in state()) {
        let text = serde_json::to_string_pretty(&state).unwrap_or_default();
        prop_assert_eq!(serde_json::from_str::<State>(&text).ok(), Some(state));
    }

    #[test]
    fn no_bytes_are_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), state in state(), at: prop::sample::Index) {
        let whole = serde_json::to_vec(&state).unwrap_or_default();
        let at = at.index(whole.len() + 1);
        let after = &whole[(at + bytes.len()).min(whole.len())..];
        let _ = serde_json::from_slice::<State>(&bytes);
        let _ = serde_json::from_slice::<State>(&[&whole[..at], &bytes, after].concat());
    }
}
