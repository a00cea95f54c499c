use narrows_core::audit::checkpoint::NoteSignature;

use super::*;

fn note(n: u64) -> Note {
    let signature = NoteSignature { name: "log".into(), key_id: [1, 2, 3, 4], signature: vec![7; 64] };
    Note { text: format!("log\n{n}\nroot\n"), signatures: vec![signature] }
}

fn read(directory: &Path) -> Vec<Option<Note>> {
    let mut notes = Notes::open(directory).unwrap().unwrap();
    std::iter::from_fn(|| notes.next().unwrap()).map(Result::ok).collect()
}

#[test]
fn what_is_appended_is_read() {
    let directory = tempfile::tempdir().unwrap();
    assert!(Notes::open(directory.path()).unwrap().is_none());
    for n in 0..100_u64 {
        let (mut history, last) = History::open(directory.path()).unwrap();
        assert_eq!(last, n.checked_sub(1).map(note));
        history.append(&note(n)).unwrap();
    }
    assert_eq!(read(directory.path()), (0..100).map(|n| Some(note(n))).collect::<Vec<_>>());
}

/// Wherever a crash cuts the file, the whole notes stay and nothing else.
#[test]
fn an_unfinished_note_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    let whole = format!("{}\n{}\n", note(1), note(2));
    let one = note(1).to_string().len() + 1;
    for cut in 0..=whole.len() {
        std::fs::write(&path, &whole.as_bytes()[..cut]).unwrap();
        let (mut history, last) = History::open(directory.path()).unwrap();
        let kept = [whole.len(), one, 0].into_iter().find(|end| *end <= cut).unwrap();
        assert_eq!(
            last,
            [(whole.len(), note(2)), (one, note(1))].into_iter().find(|(end, _)| *end == kept).map(|x| x.1)
        );
        history.append(&note(3)).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            format!("{}{}\n", whole.get(..kept).unwrap(), note(3))
        );
    }
}

#[test]
fn a_changed_byte_is_no_note_or_another() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    let whole = format!("{}\n{}\n", note(1), note(2)).into_bytes();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        assert_ne!(read(directory.path()), [Some(note(1)), Some(note(2))], "byte {at}");
    }
}
