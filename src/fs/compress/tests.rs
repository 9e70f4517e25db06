//! What is written reads back, by ourselves and by the tools that people have.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::process::Command;

use super::*;
use crate::plan::policy::Codec;
use blocks::BLOCK;

struct Calm;

impl Watch for Calm {
    fn read(&self, _bytes: u64) {}

    fn stop(&self) -> bool {
        false
    }
}

const CODECS: [Codec; 7] = [
    Codec::None,
    Codec::Gzip(1),
    Codec::Gzip(6),
    Codec::Gzip(9),
    Codec::Zstd(1),
    Codec::Zstd(3),
    Codec::Zstd(19),
];

/// Lines, then noise that does not compress, then a run of one byte.
fn content(size: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut noise = 1_u32;
    let mut line = 0;
    while (bytes.len() as u64) < size {
        match (bytes.len() as u64 / (BLOCK / 2)) % 3 {
            0 => {
                line += 1;
                bytes.extend(format!("{{\"line\":{line},\"noise\":{noise}}}\n").bytes());
            }
            1 => {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                bytes.extend(&noise.to_be_bytes()[..2]);
            }
            _ => bytes.extend([b'x'; 1000]),
        }
    }
    bytes.truncate(usize::try_from(size).unwrap());
    bytes
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn unpacked(stored: &File, codec: Codec) -> Vec<u8> {
    let mut file = stored.try_clone().unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let mut bytes = Vec::new();
    decoder(&file, codec)
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}

fn encoder(codec: Codec, threads: usize) -> Encoder<'static> {
    Encoder {
        codec,
        threads,
        watch: &Calm,
    }
}

#[test]
fn every_part_of_every_size_reads_back() {
    for codec in CODECS {
        for size in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 77] {
            for (threads, skipped) in [(1, 0), (3, size / 3)] {
                let bytes = content(size);
                let (source, target) = (file(&bytes), file(b""));
                let encoder = encoder(codec, threads);
                let written = encoder.encode(&source, skipped..size, &target).unwrap();
                let case = format!("{codec:?} {size} from {skipped} on {threads}");
                assert_eq!(written.bytes(), size - skipped, "{case}");
                assert!(
                    encoder.verify(&source, &target, &written).unwrap(),
                    "{case}"
                );
                let part = usize::try_from(skipped).unwrap();
                assert!(unpacked(&target, codec) == bytes[part..], "{case}");
            }
        }
    }
}

#[test]
fn the_number_of_threads_does_not_show() {
    let source = file(&content(5 * BLOCK + 1));
    for codec in CODECS {
        let written = [1, 2, 7].map(|threads| {
            let target = file(b"");
            let all = 0..5 * BLOCK + 1;
            encoder(codec, threads)
                .encode(&source, all, &target)
                .unwrap();
            let mut bytes = vec![0; usize::try_from(target.metadata().unwrap().len()).unwrap()];
            target.read_exact_at(&mut bytes, 0).unwrap();
            bytes
        });
        assert!(
            written[0] == written[1] && written[1] == written[2],
            "{codec:?}"
        );
    }
}

#[test]
fn a_byte_that_changed_anywhere_is_found() {
    let size = 2 * BLOCK + 100;
    let bytes = content(size);
    for codec in CODECS {
        let (source, target) = (file(&bytes), file(b""));
        let encoder = encoder(codec, 2);
        let written = encoder.encode(&source, 0..size, &target).unwrap();
        let length = target.metadata().unwrap().len();
        // The flags, times and system in a header do not touch the content; the table of frames
        // is an index.
        let end = length
            - if matches!(codec, Codec::Zstd(_)) {
                50
            } else {
                1
            };
        for at in [length / 3, length / 2, end] {
            let mut byte = [0];
            target.read_exact_at(&mut byte, at).unwrap();
            target.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
            let same = encoder.verify(&source, &target, &written).unwrap();
            assert!(!same, "{codec:?}: byte {at} of {length}");
            target.write_all_at(&byte, at).unwrap();
        }
        assert!(encoder.verify(&source, &target, &written).unwrap());
        let at = usize::try_from(BLOCK + 5).unwrap();
        source.write_all_at(b"#", BLOCK + 5).unwrap();
        assert!(!encoder.verify(&source, &target, &written).unwrap());
        source.write_all_at(&bytes[at..][..1], BLOCK + 5).unwrap();
        target.write_all_at(b"\n", length).unwrap();
        let same = encoder.verify(&source, &target, &written).unwrap();
        assert!(!same, "{codec:?}: bytes behind the end");
    }
}

#[test]
fn the_tools_that_people_have_read_it() {
    let bytes = content(3 * BLOCK + 9);
    let dir = tempfile::tempdir().unwrap();
    for (codec, test, cat) in [
        (Codec::Gzip(6), ["gzip", "-t"], ["gzip", "-dc"]),
        (Codec::Zstd(3), ["zstd", "-qt"], ["zstd", "-dc"]),
    ] {
        let path = dir.path().join(format!("x{}", codec.suffix()));
        let target = File::create(&path).unwrap();
        let source = file(&bytes);
        encoder(codec, 2)
            .encode(&source, 0..bytes.len() as u64, &target)
            .unwrap();
        let run = |[tool, option]: [&str; 2]| {
            let ran = Command::new(tool).arg(option).arg(&path).output().unwrap();
            assert!(ran.status.success(), "{ran:?}");
            ran.stdout
        };
        run(test);
        assert!(run(cat) == bytes, "{codec:?}");
    }
}

#[test]
fn the_original_size_is_told_without_unpacking() {
    type Reader = fn(&File) -> io::Result<Option<u64>>;
    let cases: [(Codec, Reader); 2] = [
        (Codec::Gzip(6), original::of_gzip),
        (Codec::Zstd(3), original::of_zstd),
    ];
    for (codec, read) in cases {
        for size in [1, 500, BLOCK, BLOCK + 1, 4 * BLOCK] {
            let bytes = vec![b'a'; usize::try_from(size).unwrap()];
            let (source, target) = (file(&bytes), file(b""));
            encoder(codec, 1).encode(&source, 0..size, &target).unwrap();
            // gzip alone does not tell where the original is smaller than its compressed form.
            let told = (codec != Codec::Gzip(6) || size > 1).then_some(size);
            assert_eq!(read(&target).unwrap(), told, "{codec:?} {size}");
        }
        for odd in [&b""[..], b"x", &[0; 40], &[0xb1; 40], b"\xb1\xea\x92\x8f"] {
            assert_eq!(read(&file(odd)).unwrap(), None, "{codec:?} {odd:?}");
        }
        let mut table = vec![0xff; 20];
        table.extend([0; 1]);
        table.extend(0x8F92_EAB1_u32.to_le_bytes());
        assert_eq!(read(&file(&table)).unwrap(), None, "{codec:?}");
    }
}

#[test]
fn a_source_that_shrank_is_an_error() {
    let source = file(b"short");
    let ended = encoder(Codec::Gzip(6), 2).encode(&source, 0..2 * BLOCK, &file(b""));
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_signal_ends_it_between_blocks() {
    struct Stops(std::sync::atomic::AtomicU64);
    impl Watch for Stops {
        fn read(&self, bytes: u64) {
            self.0
                .fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
        }

        fn stop(&self) -> bool {
            self.0.load(std::sync::atomic::Ordering::Relaxed) >= 2 * BLOCK
        }
    }
    let source = file(&content(20 * BLOCK));
    for threads in [1, 3] {
        let watch = Stops(0.into());
        let encoder = Encoder {
            codec: Codec::Gzip(1),
            threads,
            watch: &watch,
        };
        let ended = encoder.encode(&source, 0..20 * BLOCK, &file(b""));
        assert!(is_stopped(&ended.unwrap_err()));
        assert!(watch.0.into_inner() <= (2 + threads as u64) * BLOCK);
    }
}
