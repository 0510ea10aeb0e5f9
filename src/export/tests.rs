//! What is read without its type is what is read with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::export::decode::Plan;
use crate::export::types::{Described, Type};
use crate::snapshot::Codec;
use crate::snapshot::Schema;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Marker;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Hollow {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Meters(f64);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Pair(i16, String);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Color {
    Red,
    Green,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Nothing,
    Circle(Meters),
    Line((i8, u8), char),
    Polygon { corners: Vec<(f32, f32)>, name: Option<String> },
    Hollow(),
    Inner(Box<Shape>),
}

/// Bytes that go as bytes, which lists of numbers do not.
#[derive(Clone, Debug, PartialEq)]
struct Blob(Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Blob, D::Error> {
        struct Take;
        impl serde::de::Visitor<'_> for Take {
            type Value = Blob;
            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(bytes.to_vec()))
            }
        }
        from.deserialize_byte_buf(Take)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Numbers {
    signed: (i8, i16, i32, i64),
    unsigned: (u8, u16, u32, u64),
    long: (i64, u128, i128),
    floats: (f32, f64),
    few: [u16; 3],
    many: [u8; 20],
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    numbers: Numbers,
    shape: Shape,
    blob: Blob,
    marker: Marker,
    hollow: Hollow,
    pair: Pair,
    by_text: BTreeMap<String, Option<bool>>,
    by_number: BTreeMap<i32, Vec<Shape>>,
    by_color: BTreeMap<Color, char>,
    color: Color,
    nested: Option<Option<(u32, ())>>,
    units: Vec<()>,
}

/// Enums that lie in options, lists and maps alone, and in each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Tree {
    color: Option<Color>,
    by_number: BTreeMap<u8, Branch>,
    pairs: (Of<u8>, Vec<Of<Color>>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Of<T> {
    value: T,
    more: Option<Box<Of<T>>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Branch {
    Trees(Vec<Tree>),
    Fork(Box<Branch>, Option<Box<Branch>>),
    Leaf { leaf: Option<Leaf> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Leaf {
    Green,
    Brown(Box<Tree>),
    Painted(Vec<Color>, u32),
}

fn of<T: Clone + std::fmt::Debug>(value: impl Strategy<Value = T> + Clone) -> impl Strategy<Value = Of<T>> {
    let more = prop::option::of(value.clone());
    (value, more)
        .prop_map(|(value, more)| Of { value, more: more.map(|value| Box::new(Of { value, more: None })) })
}

fn tree() -> impl Strategy<Value = Tree> {
    let hue = prop::sample::select(vec![Color::Red, Color::Green]);
    let pairs = (of(any::<u8>()), prop::collection::vec(of(hue), 0..3));
    let bare = (prop::option::of(color()), pairs);
    let bare = bare.prop_map(|(color, pairs)| Tree { color, by_number: BTreeMap::new(), pairs });
    bare.prop_recursive(3, 24, 3, |inner| {
        let painted = (prop::collection::vec(color(), 0..3), any::<u32>());
        let leaf = prop_oneof![
            Just(Leaf::Green),
            inner.clone().prop_map(|tree| Leaf::Brown(Box::new(tree))),
            painted.prop_map(|(colors, number)| Leaf::Painted(colors, number)),
        ];
        let leaf = prop::option::of(leaf).prop_map(|leaf| Branch::Leaf { leaf });
        let trees = prop::collection::vec(inner.clone(), 0..3).prop_map(Branch::Trees);
        let branch = prop_oneof![leaf, trees];
        let fork = (branch.clone(), prop::option::of(branch.clone()));
        let fork = fork.prop_map(|(one, other)| Branch::Fork(Box::new(one), other.map(Box::new)));
        let branches = prop::collection::btree_map(any::<u8>(), prop_oneof![branch, fork], 0..3);
        (inner, branches).prop_map(|(tree, by_number)| Tree { by_number, ..tree })
    })
}

fn color() -> impl Strategy<Value = Color> {
    prop_oneof![Just(Color::Red), Just(Color::Green)]
}

fn shape() -> impl Strategy<Value = Shape> {
    let corners = prop::collection::vec((any::<f32>(), any::<f32>()), 0..4);
    let leaf = prop_oneof![
        Just(Shape::Nothing),
        Just(Shape::Hollow()),
        any::<f64>().prop_map(|radius| Shape::Circle(Meters(radius))),
        (any::<(i8, u8)>(), any::<char>()).prop_map(|(pair, letter)| Shape::Line(pair, letter)),
        (corners, any::<Option<String>>()).prop_map(|(corners, name)| Shape::Polygon { corners, name }),
    ];
    leaf.prop_recursive(4, 8, 1, |inner| inner.prop_map(|inner| Shape::Inner(Box::new(inner))))
}

fn numbers() -> impl Strategy<Value = Numbers> {
    let long = (any::<i64>(), any::<u64>(), any::<i64>());
    (
        any::<(i8, i16, i32, i64)>(),
        any::<(u8, u16, u32, u64)>(),
        long,
        any::<(f32, f64)>(),
        any::<([u16; 3], [u8; 20])>(),
    )
        .prop_map(|(signed, unsigned, (a, b, c), floats, (few, many))| {
            // What has more than 64 bits has no place in `serde_json::Value`; the test of digits goes beyond.
            Numbers { signed, unsigned, long: (a, b.into(), c.into()), floats, few, many }
        })
}

fn record() -> impl Strategy<Value = Record> {
    let maps = (
        prop::collection::btree_map(".{0,3}", any::<Option<bool>>(), 0..3),
        prop::collection::btree_map(any::<i32>(), prop::collection::vec(shape(), 0..3), 0..3),
        prop::collection::btree_map(color(), any::<char>(), 0..3),
        color(),
    );
    let blob = prop::collection::vec(any::<u8>(), 0..9);
    let nested = prop::option::of(prop::option::of(any::<u32>()));
    (numbers(), shape(), blob, any::<(i16, String)>(), maps, nested, 0..5usize).prop_map(
        |(numbers, shape, blob, pair, (by_text, by_number, by_color, color), nested, units)| Record {
            numbers,
            shape,
            blob: Blob(blob),
            marker: Marker,
            hollow: Hollow {},
            pair: Pair(pair.0, pair.1),
            by_text,
            by_number,
            by_color,
            color,
            nested: nested.map(|inner| inner.map(|number| (number, ()))),
            units: vec![(); units],
        },
    )
}

type Row = (u64, Record, Option<(Shape, i64)>);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec((any::<u64>(), record(), prop::option::of((shape(), any::<i64>()))), 0..6)
}

/// What reads a type, by what its schema says.
fn plan<T: DeserializeOwned + 'static>() -> Arc<Plan> {
    let schema = Schema::of::<T>("rows");
    let Described { kind, root, named } =
        Described::parse(&schema.text).unwrap_or_else(|| panic!("{}", schema.text));
    assert_eq!(kind, "rows");
    Arc::new(Plan { row: root, named })
}

fn assert_alike<T: Serialize + DeserializeOwned + 'static>(rows: &[T]) {
    let plan = plan::<T>();
    let typed: Vec<_> = rows.iter().map(|row| serde_json::to_value(row).unwrap()).collect();
    for codec in [Codec::Columnar, Codec::Rows] {
        let read = plan.decode(&codec.encode(rows).unwrap(), rows.len(), codec).unwrap();
        let read: Vec<_> = read.iter().map(|row| serde_json::to_value(row).unwrap()).collect();
        assert_eq!(read, typed, "{codec:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rows_read_without_their_type_are_the_typed_ones(rows in rows()) {
        assert_alike(&rows);
        assert_alike(&rows.iter().map(|row| row.1.shape.clone()).collect::<Vec<_>>());
        assert_alike(&rows.iter().map(|row| (row.0, row.1.numbers.long)).collect::<Vec<_>>());
    }

    #[test]
    fn enums_within_each_other_are_read_without_their_types(trees in prop::collection::vec(tree(), 0..4)) {
        assert_alike(&trees);
    }

    /// There is no checksum here, so some of them are read as something else; none panics.
    #[test]
    fn flipped_bytes_do_not_panic(rows in rows(), flips in prop::collection::vec(any::<(u16, u8)>(), 1..9)) {
        let plan = plan::<Row>();
        for codec in [Codec::Columnar, Codec::Rows] {
            let mut bytes = codec.encode(&rows).unwrap();
            for (at, flip) in &flips {
                let len = bytes.len();
                if let Some(byte) = bytes.get_mut(usize::from(*at) % len.max(1)) {
                    *byte ^= flip;
                }
            }
            let _ = plan.decode(&bytes, rows.len(), codec);
        }
    }

    #[test]
    fn noise_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), rows in 0..50usize) {
        let (one, other) = (plan::<Row>(), plan::<(Shape, Vec<()>)>());
        for codec in [Codec::Columnar, Codec::Rows] {
            let _ = one.decode(&bytes, rows, codec);
            let _ = other.decode(&bytes, rows, codec);
        }
    }

    /// Values of one type are told apart and put in order as the typed ones are.
    #[test]
    fn keys_have_the_order_of_the_typed_ones(rows in prop::collection::vec(any::<(i32, Option<u8>, bool, char)>(), 0..20)) {
        let plan = plan::<(i32, Option<u8>, bool, char)>();
        let read = plan.decode(&Codec::Columnar.encode(&rows).unwrap(), rows.len(), Codec::Columnar).unwrap();
        for (one, row) in read.iter().zip(&rows) {
            for (other, another) in read.iter().zip(&rows) {
                prop_assert_eq!(one.cmp(other), row.cmp(another));
            }
        }
    }
}

#[test]
fn numbers_keep_all_their_digits() {
    let rows = [(u64::MAX, u128::MAX, i128::MIN, i64::MIN, 0.1f32, f64::MIN_POSITIVE)];
    let plan = plan::<(u64, u128, i128, i64, f32, f64)>();
    for codec in [Codec::Columnar, Codec::Rows] {
        let read = plan.decode(&codec.encode(&rows).unwrap(), 1, codec).unwrap();
        assert_eq!(read[0].to_string(), serde_json::to_string(&rows[0]).unwrap());
    }
}

#[test]
fn the_own_text_is_a_text_wherever_it_lies() {
    let text = |text: &str| crate::data::Text::from(text.to_owned());
    let odd = crate::data::Text::from(Arc::<[u8]>::from(&[b'a', 0xff][..]));
    assert_alike(&[(text("one"), vec![Some(text("two"))]), (odd.clone(), vec![None, Some(odd)])]);
    #[derive(Clone, Serialize, Deserialize)]
    struct Names {
        names: Vec<crate::data::Text>,
        by_name: BTreeMap<crate::data::Text, u8>,
    }
    assert_alike(&[Names { names: vec![text("a"), text("b")], by_name: BTreeMap::from([(text("c"), 1)]) }]);
}

#[test]
fn maps_by_what_cannot_be_a_name_are_pairs() {
    let rows = [BTreeMap::from([((1u8, 2u8), 'a'), ((3, 4), 'b')])];
    let plan = plan::<BTreeMap<(u8, u8), char>>();
    for codec in [Codec::Columnar, Codec::Rows] {
        let read = plan.decode(&codec.encode(&rows).unwrap(), 1, codec).unwrap();
        assert_eq!(read[0].to_string(), r#"[[[1,2],"a"],[[3,4],"b"]]"#);
    }
}

#[test]
fn lists_that_claim_to_have_units_without_end_are_refused() {
    let plan = plan::<Vec<()>>();
    let honest = vec![vec![(); 3000]];
    for codec in [Codec::Columnar, Codec::Rows] {
        let bytes = codec.encode(&honest).unwrap();
        assert_eq!(plan.decode(&bytes, 1, codec).unwrap().len(), 1);
    }
    // A list of 2^40 in postcard's numbers.
    assert!(plan.decode(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x20], 1, Codec::Rows).is_err());
}

#[test]
fn what_is_part_of_itself_is_read_as_deep_as_it_may_be() {
    let deep = |depth: usize| (0..depth).fold(Shape::Nothing, |inner, _| Shape::Inner(Box::new(inner)));
    assert_alike(&[deep(40)]);
    for codec in [Codec::Columnar, Codec::Rows] {
        let bytes = codec.encode(&[deep(200)]).unwrap();
        assert!(plan::<Shape>().decode(&bytes, 1, codec).is_err());
    }
}

#[test]
fn a_schema_that_is_no_more_than_a_name_says_nothing() {
    for text in [
        "latest of (u64, core::num::NonZero<u8>)",
        "latest",
        "",
        r#"latest of {"TUPLE":["U64",{"TYPENAME":"Gone"}]}"#,
        r#"latest of "U64", A = "#,
        r#"latest of {"TUPLEARRAY":{"CONTENT":"U8","SIZE":99999999999}}"#,
    ] {
        assert!(Described::parse(text).is_none(), "{text}");
    }
    #[derive(Serialize, Deserialize)]
    struct Hidden {
        color: Option<Color>,
        number: Option<std::num::NonZeroU8>,
    }
    let schema = Schema::of::<Hidden>("rows");
    assert!(Described::parse(&schema.text).is_none(), "{}", schema.text);
    assert_eq!(Described::parse(r#"latest of "U64""#).unwrap().root, Type::U64);
}
