//! etcd keeps what it holds as long as most of its members stay: hosts that run it are exchanged a minority at a time.

use crate::placement::{Instances, Standing};

/// What to say where most of the hosts that run etcd `before` do not do so `after`.
pub(super) fn warning(before: &Instances, after: &Instances) -> Option<String> {
    let members: Vec<&str> =
        before.iter().filter(|(_, it)| **it != Standing::Leaving).map(|(host, _)| host.as_str()).collect();
    let stay: Vec<&str> = members.iter().copied().filter(|it| after.contains_key(*it)).collect();
    if stay.len() > members.len() / 2 || members.is_empty() {
        return None;
    }
    let stay =
        if stay.is_empty() { "none stays".to_owned() } else { format!("only {} stays", stay.join(", ")) };
    Some(format!(
        "etcd: of {}, which are its members now, {stay}. Exchange a minority of the hosts of `core` at a time, with a run \
         of site.yml after each: without most of its members etcd stops, and what it holds stays behind with them",
        members.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(names: &[&str]) -> Instances {
        names.iter().map(|it| ((*it).to_owned(), Standing::Member)).collect()
    }

    #[test]
    fn it_is_said_where_most_of_the_members_go() {
        let said = |before: &[&str], after: &[&str]| warning(&hosts(before), &hosts(after));
        for (before, after) in [
            (&[][..], &["a", "b", "c"][..]),
            (&["a"], &["a", "b", "c"]),
            (&["a", "b", "c"], &["a", "b", "d"]),
            (&["a", "b", "c"], &["a", "b"]),
        ] {
            assert_eq!(said(before, after), None, "{before:?} {after:?}");
        }
        let all = said(&["a", "b", "c"], &["d", "e", "f"]).unwrap_or_default();
        assert!(
            all.starts_with("etcd: of a, b, c, which are its members now, none stays. Exchange a minority")
        );
        let most = said(&["a", "b", "c"], &["c", "d", "e"]).unwrap_or_default();
        assert!(most.contains("only c stays"), "{most}");
        let mut left = hosts(&["a", "b", "c"]);
        left.insert("x".into(), Standing::Leaving);
        assert_eq!(warning(&left, &hosts(&["a", "b", "d"])), None, "one that left already counts no more");
    }
}
