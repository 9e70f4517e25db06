//! What in a name is a mark: `v3`, `epoch=12`, `step500`, `checkpoint-10000`, an instant, or a
//! metric with its value.

use super::instant::instant_at;

/// One mark; where the kinds differ, their order here decides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Mark {
    /// `v1.2.0`.
    Number(Vec<u64>),
    /// Passes over the training data.
    Epoch(u64),
    /// Steps, iterations, and the numbers of checkpoints.
    Step(u64),
    /// Seconds since the epoch, and nanoseconds.
    Instant(i64, u32),
}

/// A mark at the beginning of a text.
pub(super) struct Found {
    /// `None` for a metric.
    pub mark: Option<Mark>,
    /// Bytes that belong to it.
    pub length: usize,
    /// What names a series of files that have no other name.
    pub word: Option<&'static str>,
}

/// What may stand around a mark.
pub(super) const fn is_separator(byte: u8) -> bool {
    matches!(byte, b'_' | b'-' | b'.' | b' ' | b'@' | b',' | b'+')
}

/// Whether a mark may end before this position.
pub(super) fn ends_at(text: &[u8], at: usize) -> bool {
    text.get(at).is_none_or(|byte| is_separator(*byte))
}

/// How many digits stand at the beginning.
pub(super) fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// The value of a few digits; more than 18 are an identifier, not a count.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 18 {
        return None;
    }
    text.iter().try_fold(0_u64, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + u64::from(byte - b'0'))
    })
}

/// The mark with which a text begins, if it is one as a whole up to a separator.
pub(super) fn mark_at(text: &[u8]) -> Option<Found> {
    match text.first()? {
        b'0'..=b'9' => {
            let (seconds, nanoseconds, length) = instant_at(text)?;
            Some(Found {
                mark: Some(Mark::Instant(seconds, nanoseconds)),
                length,
                word: None,
            })
        }
        first if first.is_ascii_alphabetic() => {
            version_at(text).or_else(|| counted_at(text)).or_else(|| {
                metric_at(text).map(|length| Found {
                    mark: None,
                    length,
                    word: None,
                })
            })
        }
        _ => None,
    }
}

/// The first of some words, in any case, with which a text begins.
fn word_at(text: &[u8], words: &[&'static str]) -> Option<&'static str> {
    words.iter().copied().find(|word| {
        text.get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
    })
}

/// `v3`, `v1.2.0`, `version_3`.
fn version_at(text: &[u8]) -> Option<Found> {
    let word = word_at(text, &["version", "ver", "v"])?;
    let joints: &[u8] = if word == "v" { b"=" } else { b"=_-. " };
    let mut at = word.len() + usize::from(joint(&text[word.len()..], joints));
    let mut numbers = Vec::new();
    loop {
        let end = at + digits(&text[at..]);
        numbers.push(number(&text[at..end])?);
        at = end;
        let another = text.get(at) == Some(&b'.') && {
            let count = digits(&text[at + 1..]);
            (1..=18).contains(&count) && ends_at(text, at + 1 + count)
        };
        if !another {
            break;
        }
        at += 1;
    }
    ends_at(text, at).then_some(Found {
        mark: Some(Mark::Number(numbers)),
        length: at,
        word: None,
    })
}

/// `epoch=12`, `step500`, `checkpoint-10000`.
fn counted_at(text: &[u8]) -> Option<Found> {
    const EPOCHS: [&str; 3] = ["epochs", "epoch", "ep"];
    const STEPS: [&str; 8] = [
        "checkpoint",
        "ckpt",
        "steps",
        "step",
        "iterations",
        "iteration",
        "iters",
        "iter",
    ];
    let epoch = word_at(text, &EPOCHS);
    let word = epoch.or_else(|| word_at(text, &STEPS))?;
    let from = word.len() + usize::from(joint(&text[word.len()..], b"=_-. "));
    let length = from + digits(&text[from..]);
    let count = number(&text[from..length])?;
    ends_at(text, length).then_some(Found {
        mark: Some(if epoch.is_some() {
            Mark::Epoch(count)
        } else {
            Mark::Step(count)
        }),
        length,
        word: Some(word),
    })
}

fn joint(text: &[u8], joints: &[u8]) -> bool {
    text.first().is_some_and(|byte| joints.contains(byte))
}

/// `val_loss=0.03`, `acc_0.95`: the value changes from version to version. Only words that are
/// metrics: `lr=0.001` and `horizon=24` tell models apart. Without the `=`, only the commonest
/// ones and only with a fraction: `iou_0.5` may be a threshold.
fn metric_at(text: &[u8]) -> Option<usize> {
    const OF: [&str; 10] = [
        "validation",
        "valid",
        "val",
        "test",
        "train",
        "eval",
        "dev",
        "best",
        "mean",
        "avg",
    ];
    const PLAIN: [&str; 3] = ["loss", "accuracy", "acc"];
    const NAMED: [&str; 27] = [
        "auroc",
        "auc",
        "f1",
        "mae",
        "mape",
        "map",
        "mse",
        "rmse",
        "smape",
        "r2",
        "logloss",
        "nll",
        "score",
        "sharpe",
        "sortino",
        "pnl",
        "reward",
        "precision",
        "recall",
        "miou",
        "iou",
        "dice",
        "bleu",
        "perplexity",
        "ppl",
        "error",
        "metric",
    ];
    let mut at = 0;
    while let Some(of) = word_at(&text[at..], &OF) {
        if !joint(&text[at + of.len()..], b"_-.") {
            break;
        }
        at += of.len() + 1;
    }
    let plain = word_at(&text[at..], &PLAIN);
    let word = plain.or_else(|| word_at(&text[at..], &NAMED))?;
    at += word.len();
    let named = text.get(at) == Some(&b'=');
    if !named && plain.is_none() {
        return None;
    }
    at += usize::from(joint(&text[at..], b"=_-"));
    at += usize::from(named && text.get(at) == Some(&b'-'));
    let (length, fraction) = decimal(&text[at..])?;
    ((named || fraction) && ends_at(text, at + length)).then_some(at + length)
}

/// Length of `12`, `0.03`, `1.2e-05`, and whether it has a fraction.
fn decimal(text: &[u8]) -> Option<(usize, bool)> {
    let mut at = digits(text);
    if at == 0 {
        return None;
    }
    let fraction = match text.get(at) {
        Some(b'.') => digits(&text[at + 1..]),
        _ => 0,
    };
    if fraction > 0 {
        at += 1 + fraction;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        let sign = usize::from(joint(&text[at + 1..], b"+-"));
        let exponent = digits(&text[at + 1 + sign..]);
        if exponent > 0 {
            at += 1 + sign + exponent;
        }
    }
    Some((at, fraction > 0))
}
