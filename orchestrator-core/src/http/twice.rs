//! Finds names that stand twice in one JSON object. Of two values for one name a caller meant one, and only that caller
//! knows which; a reader of JSON silently takes the last.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::ValidationError;
use crate::field::{Problems, pointer_segment};

/// Names that one answer tells at most, and characters of names on the way to each: however the text is made, what is
/// done for a name that stands twice stays small.
const MOST: usize = 20;
const LONGEST: usize = 300;

/// Refuses text that is JSON, but says something twice.
pub(super) fn refuse(text: &[u8]) -> Result<(), ValidationError> {
    let mut found = Found::default();
    let mut reader = serde_json::Deserializer::from_slice(text);
    // That it is JSON was seen before; here only names are looked at.
    let _ = Names(&mut found).deserialize(&mut reader);
    let mut problems = Problems::default();
    for pointer in found.pointers {
        problems.add(pointer, "is given twice: leave one out");
    }
    problems.finish()
}

#[derive(Default)]
struct Found {
    /// Where the reader is: names of objects, places in arrays.
    path: Vec<String>,
    pointers: Vec<String>,
}

impl Found {
    fn twice(&mut self, name: &str) {
        if self.pointers.len() >= MOST {
            return;
        }
        let mut pointer = String::new();
        let mut left = LONGEST;
        for segment in self.path.iter().map(String::as_str).chain([name]) {
            let cut: String = segment.chars().take(left).collect();
            pointer.push('/');
            pointer.push_str(&pointer_segment(&cut));
            left -= cut.chars().count();
            if cut.len() < segment.len() {
                pointer.push('…');
                break;
            }
        }
        if !self.pointers.contains(&pointer) {
            self.pointers.push(pointer);
        }
    }
}

/// One value, of which only the names of objects are looked at.
struct Names<'a>(&'a mut Found);

impl<'de> DeserializeSeed<'de> for Names<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Names<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut names = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if !names.insert(name.clone()) {
                self.0.twice(&name);
            }
            self.0.path.push(name);
            map.next_value_seed(Names(self.0))?;
            self.0.path.pop();
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        for place in 0_usize.. {
            self.0.path.push(place.to_string());
            let more = seq.next_element_seed(Names(self.0))?;
            self.0.path.pop();
            if more.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}
