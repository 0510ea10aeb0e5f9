//! What types are described as.
// No one looks at the values.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU8;
use std::sync::Arc;

use serde::{Deserialize, de::DeserializeOwned};
use serde_reflection::{Samples, Tracer, TracerConfig};

use crate::snapshot::schema::infer::trace;

fn text<T: DeserializeOwned>() -> String {
    trace::<T>().unwrap()
}

/// The text of a type of which a reflection that cuts its search short sees all.
fn reflected<T: DeserializeOwned>() -> String {
    let (samples, mut tracer) = (Samples::new(), Tracer::new(TracerConfig::default()));
    let (format, _) = tracer.trace_type::<T>(&samples).unwrap();
    let containers = tracer.registry().unwrap().into_iter();
    let named = |(name, container)| format!(", {name} = {}", serde_json::to_string(&container).unwrap());
    serde_json::to_string(&format).unwrap() + &containers.map(named).collect::<String>()
}

/// The text of a type as the tracer of `serde-reflection` finds it, asked until it says that it has seen all.
fn theirs<T: DeserializeOwned>() -> Result<String, String> {
    let mut tracer = Tracer::new(TracerConfig::default());
    let (format, _) = tracer.trace_simple_type::<T>().map_err(|error| error.to_string())?;
    let containers = tracer.registry().map_err(|error| error.to_string())?.into_iter();
    let named = |(name, container)| format!(", {name} = {}", serde_json::to_string(&container).unwrap());
    Ok(serde_json::to_string(&format).unwrap() + &containers.map(named).collect::<String>())
}

#[derive(Deserialize)]
struct Unit;
#[derive(Deserialize)]
struct Meters(f64);
#[derive(Deserialize)]
struct Pair(i16, String);
#[derive(Deserialize)]
struct Twins(u8, u8);
#[derive(Deserialize)]
enum Color {
    Red,
    Green(u8),
    Blue { depth: Meters },
    Grey(u8, char),
}
#[derive(Deserialize)]
struct Plain {
    unit: Unit,
    meters: Vec<Meters>,
    pair: Option<Pair>,
    twins: BTreeMap<String, Twins>,
    many: [u16; 20],
    same: ((u8, u8), (u8, u8)),
    next: Option<Box<Plain>>,
}

#[test]
fn what_was_seen_by_others_is_described_as_they_do() {
    assert_eq!(text::<Plain>(), reflected::<Plain>());
    assert_eq!(text::<Color>(), reflected::<Color>());
    assert_eq!(text::<[u8; 3]>(), reflected::<[u8; 3]>());
    assert_eq!(text::<(u64, (), f32, bool)>(), reflected::<(u64, (), f32, bool)>());
    type Wide = (i8, i16, i32, i64, i128, u16, u32, u128, f64, char, String, Arc<str>);
    assert_eq!(text::<Wide>(), reflected::<Wide>());
}

const COLOR: &str = concat!(
    r#"Color = {"ENUM":{"0":{"Red":"UNIT"},"1":{"Green":{"NEWTYPE":"U8"}},"#,
    r#""2":{"Blue":{"STRUCT":[{"depth":{"TYPENAME":"Meters"}}]}},"3":{"Grey":{"TUPLE":["U8","CHAR"]}}}}"#
);

#[test]
fn all_variants_are_seen_wherever_an_enum_lies() {
    #[derive(Deserialize)]
    struct InOption {
        color: Option<Color>,
    }
    #[derive(Deserialize)]
    struct InList {
        colors: Vec<Box<[Color]>>,
    }
    #[derive(Deserialize)]
    struct InMap {
        colors: BTreeMap<u8, Option<Vec<Color>>>,
    }
    #[derive(Deserialize)]
    enum Outer {
        Nothing,
        Inner { inner: Middle },
    }
    #[derive(Deserialize)]
    enum Middle {
        Colors(u8, (Color, Color)),
        Other(Option<Color>),
    }
    let texts = [
        text::<InOption>(),
        text::<InList>(),
        text::<InMap>(),
        text::<(u8, Vec<Outer>)>(),
        text::<Option<Option<Box<Color>>>>(),
    ];
    texts.iter().for_each(|text| assert!(text.contains(COLOR), "{text}"));
    assert!(texts[3].contains(r#"Middle = {"ENUM":{"0":{"Colors":"#), "{}", texts[3]);
    assert!(
        texts[3].contains(r#""1":{"Other":{"NEWTYPE":{"OPTION":{"TYPENAME":"Color"}}}}"#),
        "{}",
        texts[3]
    );
}

/// An expression that ends in two types only.
#[derive(Deserialize)]
enum Term {
    Sum(Box<Term>, Box<Term>),
    Call(Box<Call>),
    Block(Box<Block>),
}
#[derive(Deserialize)]
struct Call {
    function: Box<Term>,
    arguments: Vec<Term>,
    hint: Option<Hint>,
}
#[derive(Deserialize)]
enum Block {
    Loop(Box<Term>),
    Jump { color: Color },
}
#[derive(Deserialize)]
enum Hint {
    Hot(Box<Call>),
    Cold,
}

#[test]
fn types_within_each_other_are_seen_whole() {
    for text in [text::<Term>(), text::<Vec<Call>>(), text::<Option<Hint>>(), text::<Block>()] {
        assert!(text.contains(COLOR), "{text}");
        for part in [
            r#"Term = {"ENUM":{"0":{"Sum":{"TUPLE":[{"TYPENAME":"Term"},{"TYPENAME":"Term"}]}},"#,
            r#""1":{"Call":{"NEWTYPE":{"TYPENAME":"Call"}}},"2":{"Block":{"NEWTYPE":{"TYPENAME":"Block"}}}}}"#,
            r#"{"arguments":{"SEQ":{"TYPENAME":"Term"}}},{"hint":{"OPTION":{"TYPENAME":"Hint"}}}"#,
            r#"Block = {"ENUM":{"0":{"Loop":{"NEWTYPE":{"TYPENAME":"Term"}}},"1":{"Jump":{"STRUCT":[{"color":"#,
            r#"Hint = {"ENUM":{"0":{"Hot":{"NEWTYPE":{"TYPENAME":"Call"}}},"1":{"Cold":"UNIT"}}}"#,
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }
}

#[test]
fn what_has_no_end_is_known_by_its_name() {
    #[derive(Deserialize)]
    struct Endless {
        inner: Box<Endless>,
    }
    #[derive(Deserialize)]
    enum Never {
        One(Box<Never>),
        Other(Box<Endless>),
    }
    #[derive(Deserialize)]
    struct Around {
        before: Option<Endless>,
        after: Vec<Never>,
        last: Option<Color>,
    }
    assert!(trace::<Endless>().is_none() && trace::<(Endless, u8)>().is_none());
    assert!(text::<Never>().contains("Never::Other"));
    let text = text::<Around>();
    assert!(text.contains(COLOR) && text.contains("tests::") && text.contains("Endless"), "{text}");
}

macro_rules! many {
    ($($name:ident)*) => {
        #[derive(Debug, Deserialize)]
        enum Many {
            $($name),*
        }
        #[derive(Deserialize)]
        enum Deep {
            $($name(Box<Deep>),)*
            End(Option<Many>),
        }
    };
}

many! {
    V0 V1 V2 V3 V4 V5 V6 V7 V8 V9 V10 V11 V12 V13 V14 V15 V16 V17 V18 V19 V20 V21 V22 V23 V24 V25 V26 V27 V28 V29 V30 V31 V32 V33 V34
    V35 V36 V37 V38 V39 V40 V41 V42 V43 V44 V45 V46 V47 V48 V49 V50 V51 V52 V53 V54 V55 V56 V57 V58 V59 V60 V61 V62 V63 V64 V65 V66
    V67 V68 V69 V70 V71 V72 V73 V74 V75 V76 V77 V78 V79 V80 V81 V82 V83 V84 V85 V86 V87 V88 V89 V90 V91 V92 V93 V94 V95 V96 V97 V98
    V99 V100 V101 V102 V103 V104 V105 V106 V107 V108 V109 V110 V111 V112 V113 V114 V115 V116 V117 V118 V119 V120 V121 V122 V123 V124
    V125 V126 V127 V128 V129 V130 V131 V132 V133 V134 V135 V136 V137 V138 V139 V140 V141 V142 V143 V144 V145 V146 V147 V148 V149 V150
    V151 V152 V153 V154 V155 V156 V157 V158 V159 V160 V161 V162 V163 V164 V165 V166 V167 V168 V169 V170 V171 V172 V173 V174 V175 V176
    V177 V178 V179 V180 V181 V182 V183 V184 V185 V186 V187 V188 V189 V190 V191 V192 V193 V194 V195 V196 V197 V198 V199 V200 V201 V202
    V203 V204 V205 V206 V207 V208 V209 V210 V211 V212 V213 V214 V215 V216 V217 V218 V219 V220 V221 V222 V223 V224 V225 V226 V227 V228
    V229 V230 V231 V232 V233 V234 V235 V236 V237 V238 V239 V240 V241 V242 V243 V244 V245 V246 V247 V248 V249 V250 V251 V252 V253 V254
    V255 V256 V257 V258 V259 V260 V261 V262 V263 V264 V265 V266 V267 V268 V269 V270 V271 V272 V273 V274 V275 V276 V277 V278 V279 V280
    V281 V282 V283 V284 V285 V286 V287 V288 V289 V290 V291 V292 V293 V294 V295 V296 V297 V298 V299
}

#[test]
fn an_enum_may_have_hundreds_of_variants() {
    let deep = text::<Vec<Deep>>();
    assert!(deep.contains(r#""299":{"V299":{"NEWTYPE":{"TYPENAME":"Deep"}}},"300":{"End":"#), "{deep}");
    for text in [text::<(u8, Option<Many>)>(), deep] {
        for number in 0..300 {
            assert!(
                text.contains(&format!(r#""{number}":{{"V{number}":"UNIT"}}"#)),
                "{number} is not in {text}"
            );
        }
    }
}

#[derive(Deserialize)]
struct Of<T> {
    value: T,
    next: Option<Box<Of<T>>>,
}

#[test]
fn types_of_one_name_are_told_apart_by_what_they_read() {
    mod other {
        #[derive(super::Deserialize)]
        pub(super) struct Meters(f64);
    }
    let text = text::<(Of<u8>, Vec<Of<Color>>, Of<u8>)>();
    let parts = [
        r#"{"TUPLE":[{"TYPENAME":"Of"},{"SEQ":{"TYPENAME":"Of#2"}},{"TYPENAME":"Of"}]}"#,
        r#"Of = {"STRUCT":[{"value":"U8"},{"next":{"OPTION":{"TYPENAME":"Of"}}}]}"#,
        r#"Of#2 = {"STRUCT":[{"value":{"TYPENAME":"Color"}},{"next":{"OPTION":{"TYPENAME":"Of#2"}}}]}"#,
        COLOR,
    ];
    parts.iter().for_each(|part| assert!(text.contains(part), "{part} is not in {text}"));
    let alike = crate::snapshot::schema::infer::trace::<(Of<Meters>, Of<other::Meters>)>().unwrap();
    assert!(!alike.contains('#') && alike.matches("Of = ").count() == 1, "{alike}");
}

#[test]
fn what_refuses_is_known_by_its_name_and_all_else_is_seen() {
    #[derive(Deserialize)]
    #[serde(try_from = "u16")]
    struct Port(u16);
    impl TryFrom<u16> for Port {
        type Error = String;
        fn try_from(port: u16) -> Result<Port, String> {
            if port < 50 { Err(format!("{port} is too small")) } else { Ok(Port(port)) }
        }
    }
    /// What nothing pleases.
    #[derive(Deserialize)]
    #[serde(try_from = "String")]
    struct Picky(String);
    impl TryFrom<String> for Picky {
        type Error = String;
        fn try_from(text: String) -> Result<Picky, String> {
            if text == "please" { Ok(Picky(text)) } else { Err("no".to_owned()) }
        }
    }
    #[derive(Deserialize)]
    enum Answer {
        Picky(Picky),
        Bool(bool),
        Last { color: Color },
    }
    #[derive(Deserialize)]
    struct Row {
        number: NonZeroU8,
        port: Port,
        ports: BTreeSet<u8>,
        maybe: Option<Port>,
        picky: Option<Picky>,
        list: Vec<Picky>,
        answer: Answer,
        color: Color,
    }
    let text = text::<Row>();
    let parts = [
        r#"{"number":{"TYPENAME":"core::num::nonzero::NonZero<u8>"}}"#,
        r#"::Port"}},{"ports":{"SEQ":"U8"}},{"maybe":{"OPTION":{"TYPENAME":"#,
        r#"::Picky"}}},{"list":{"SEQ":{"TYPENAME":"#,
        r#"{"Bool":{"NEWTYPE":"BOOL"}},"2":{"Last":{"STRUCT":[{"color":{"TYPENAME":"Color"}}]}}"#,
        COLOR,
    ];
    parts.iter().for_each(|part| assert!(text.contains(part), "{part} is not in {text}"));
    assert!(trace::<Picky>().is_none() && trace::<(Picky, u8)>().is_none() && trace::<NonZeroU8>().is_none());
    assert!(self::text::<(u8, Picky)>().contains("::Picky"));
}

#[test]
fn a_variant_with_more_names_than_one_has_one_number() {
    #[derive(Deserialize)]
    enum Renamed {
        First(u8),
        #[serde(alias = "Older", alias = "Zoldest")]
        Second(char),
        Third,
    }
    let text = text::<Vec<Renamed>>();
    let of = |name: &str| {
        format!(
            r#"{{"ENUM":{{"0":{{"First":{{"NEWTYPE":"U8"}}}},"1":{{"{name}":{{"NEWTYPE":"CHAR"}}}},"2":{{"Third":"UNIT"}}}}}}"#
        )
    };
    assert!(["Older", "Second", "Zoldest"].iter().any(|name| text.contains(&of(name))), "{text}");
}

#[test]
fn a_change_in_a_nested_variant_is_seen() {
    mod before {
        #[derive(super::Deserialize)]
        pub(super) enum Color {
            Red,
            Green(u8),
            Blue { depth: super::Meters },
            Grey(u8, u32),
        }
    }
    assert_ne!(text::<Of<Option<Vec<Color>>>>(), text::<Of<Option<Vec<before::Color>>>>());
    assert_eq!(text::<Of<Option<Vec<Color>>>>(), text::<Of<Option<Vec<Color>>>>());
}

#[test]
fn what_asks_for_anything_is_known_by_its_name() {
    let text = text::<(u8, Option<serde_json::Value>, Color)>();
    assert!(text.contains(COLOR) && text.contains("serde_json::value::Value"), "{text}");
    assert!(trace::<serde_json::Value>().is_none());
}

#[test]
fn a_type_without_measure_is_known_by_its_name() {
    struct Long<const N: usize>;
    impl<'de, const N: usize> Deserialize<'de> for Long<N> {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Long<N>, D::Error> {
            struct Skip<const N: usize>;
            impl<'de, const N: usize> serde::de::Visitor<'de> for Skip<N> {
                type Value = Long<N>;
                fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    out.write_str("numbers")
                }
                fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut from: A) -> Result<Long<N>, A::Error> {
                    while from.next_element::<u8>()?.is_some() {}
                    Ok(Long)
                }
            }
            from.deserialize_tuple(N, Skip)
        }
    }
    #[derive(Deserialize)]
    struct Around<const N: usize> {
        long: Long<N>,
    }
    assert!(text::<Around<5000>>().contains(r#"{"TUPLEARRAY":{"CONTENT":"U8","SIZE":5000}}"#));
    assert!(trace::<Around<1_000_000>>().is_none() && trace::<Around<{ usize::MAX }>>().is_none());
}

/// Why the tracer of `serde-reflection` is not enough. It also does not end on types within each other, as
/// [`Term`] is: it runs out of stack, and cannot be shown to here.
#[test]
fn what_another_tracer_does_not_describe() {
    let refuses = |described: Result<String, String>, words: &str| {
        let told =
            described.expect_err("it describes what it did not: perhaps it can take the place of ours");
        assert!(told.contains(words), "{told}");
    };
    refuses(theirs::<Vec<Option<Color>>>(), "Missing variants");
    refuses(theirs::<(Of<u8>, Of<Color>)>(), "Incompatible formats");
    refuses(theirs::<(u8, NonZeroU8)>(), "invalid value");
    refuses(theirs::<(u8, serde_json::Value)>(), "deserialize_any");
    for ours in [
        trace::<Vec<Option<Color>>>(),
        trace::<(Of<u8>, Of<Color>)>(),
        trace::<(u8, NonZeroU8)>(),
        trace::<(u8, serde_json::Value)>(),
    ] {
        assert!(ours.is_some());
    }
}
