//! Where each method is found over HTTP: as the API's annotations say, and nowhere by hand.

use std::{collections::HashMap, sync::LazyLock};

use everlog_proto::PUBLIC_DESCRIPTORS;
use http::Method;
use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, FieldDescriptor, MessageDescriptor, MethodDescriptor, Value,
};

use super::json::{Scalar, field_of, scalar_of_text};
use crate::frontend::service::{OPERATOR_SERVICE, WORKFLOW_SERVICE};

/// The annotation that says it.
const ANNOTATION: &str = "google.api.http";
const VERBS: [(&str, Method); 5] = [
    ("get", Method::GET),
    ("put", Method::PUT),
    ("post", Method::POST),
    ("delete", Method::DELETE),
    ("patch", Method::PATCH),
];

/// All types of the API.
pub(super) static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(PUBLIC_DESCRIPTORS).expect("our build wrote them"));

/// All routes.
pub(super) static ROUTES: LazyLock<Routes> =
    LazyLock::new(|| Routes::read(&POOL).expect("a test reads them"));

/// One way to call a method.
#[derive(Clone, Debug)]
pub(super) struct Route {
    /// The method as gRPC names it: `/package.Service/Name`.
    pub(super) path: String,
    pub(super) verb: Method,
    pub(super) template: Vec<Segment>,
    pub(super) body: Body,
    pub(super) input: MessageDescriptor,
    pub(super) output: MessageDescriptor,
}

/// A part of a path between two slashes.
#[derive(Clone, Debug)]
pub(super) enum Segment {
    Literal(String),
    /// The value of a field, which may be a field of a field.
    Variable(Vec<FieldDescriptor>),
}

/// What the body of a request is.
#[derive(Clone, Debug)]
pub(super) enum Body {
    None,
    /// The whole message, but for what the path says.
    Whole,
    /// One field of it.
    Field(FieldDescriptor),
}

/// What is found for a path.
pub(super) enum Found<'a> {
    /// A route, and the values of its variables as they stand in the path.
    Route(&'a Route, Vec<&'a str>),
    /// There is one, but for another verb.
    OtherVerb,
    Nothing,
}

/// All routes, by how many segments they have. Among those, literals precede variables.
pub(super) struct Routes {
    by_length: HashMap<usize, Vec<Route>>,
}

impl Routes {
    fn read(pool: &DescriptorPool) -> Result<Routes, String> {
        let mut routes = Routes { by_length: HashMap::new() };
        for name in [WORKFLOW_SERVICE, OPERATOR_SERVICE] {
            let service = pool.get_service_by_name(name).ok_or_else(|| format!("{name} is unknown"))?;
            for method in service.methods() {
                for route in of_method(pool, &method)? {
                    routes.by_length.entry(route.template.len()).or_default().push(route);
                }
            }
        }
        for alike in routes.by_length.values_mut() {
            alike.sort_by_key(|route| {
                let is_variable = |segment: &Segment| matches!(segment, Segment::Variable(_));
                route.template.iter().map(is_variable).collect::<Vec<_>>()
            });
        }
        Ok(routes)
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Route> {
        self.by_length.values().flatten()
    }

    /// Finds the route of a path that is not yet unescaped: a slash that belongs to a value is `%2F`.
    pub(super) fn find<'a>(&'a self, verb: &Method, path: &'a str) -> Found<'a> {
        let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        let mut found = Found::Nothing;
        for route in self.by_length.get(&segments.len()).into_iter().flatten() {
            let Some(values) = route.values(&segments) else { continue };
            if route.verb == *verb {
                return Found::Route(route, values);
            }
            found = Found::OtherVerb;
        }
        found
    }
}

impl Route {
    fn values<'a>(&self, segments: &[&'a str]) -> Option<Vec<&'a str>> {
        let mut values = Vec::new();
        for (expected, given) in self.template.iter().zip(segments) {
            match expected {
                Segment::Literal(literal) if literal == given => {}
                Segment::Literal(_) => return None,
                Segment::Variable(_) => values.push(*given),
            }
        }
        Some(values)
    }

    /// The fields that the path says, in the order of their values.
    pub(super) fn variables(&self) -> impl Iterator<Item = &Vec<FieldDescriptor>> {
        self.template.iter().filter_map(|segment| match segment {
            Segment::Variable(fields) => Some(fields),
            Segment::Literal(_) => None,
        })
    }
}

/// The routes of a method.
fn of_method(pool: &DescriptorPool, method: &MethodDescriptor) -> Result<Vec<Route>, String> {
    let annotation = pool.get_extension_by_name(ANNOTATION).ok_or("the annotation is unknown")?;
    let options = method.options();
    if !options.has_extension(&annotation) {
        return Ok(Vec::new());
    }
    let value = options.get_extension(&annotation);
    let rule = value.as_message().ok_or("an annotation that is no message")?;
    let more = rule.get_field_by_name("additional_bindings");
    let more = more.as_deref().and_then(Value::as_list).unwrap_or_default();
    let rules = std::iter::once(rule).chain(more.iter().filter_map(Value::as_message));
    rules.map(|rule| of_rule(rule, method)).collect()
}

fn of_rule(rule: &DynamicMessage, method: &MethodDescriptor) -> Result<Route, String> {
    let text = |name: &str| {
        let value = rule.get_field_by_name(name);
        value.as_deref().and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let refused = |what: &str| format!("{}: {what}", method.full_name());
    let (verb, path) = VERBS
        .iter()
        .map(|(name, verb)| (verb, text(name)))
        .find(|(_, path)| !path.is_empty())
        .ok_or_else(|| refused("no path"))?;
    let input = method.input();
    if !text("response_body").is_empty() {
        return Err(refused("an answer that is a part of the message"));
    }
    let body = match text("body").as_str() {
        "" => Body::None,
        "*" => Body::Whole,
        name => Body::Field(input.get_field_by_name(name).ok_or_else(|| refused("a body without a field"))?),
    };
    let segments = path.strip_prefix('/').ok_or_else(|| refused("a path without a root"))?.split('/');
    let segment = |part: &str| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
        Some(names) => field_of(&input, names)
            .map(Segment::Variable)
            .ok_or_else(|| refused("a variable without a field")),
        None if part.contains(['{', '}', '*', ':']) => Err(refused("a path of another form")),
        None => Ok(Segment::Literal(part.to_owned())),
    };
    Ok(Route {
        path: format!("/{}/{}", method.parent_service().full_name(), method.name()),
        verb: verb.clone(),
        template: segments.map(segment).collect::<Result<_, _>>()?,
        body,
        output: method.output(),
        input,
    })
}

/// Sets a field of a field from its text. Nothing is set if a field on the way can't have one.
pub(super) fn set(message: &mut DynamicMessage, fields: &[FieldDescriptor], value: Value) {
    let Some((field, inner)) = fields.split_first() else { return };
    if inner.is_empty() {
        return message.set_field(field, value);
    }
    if let Some(nested) = message.get_field_mut(field).as_message_mut() {
        set(nested, inner, value);
    }
}

/// The value of a variable of a path.
pub(super) fn variable(fields: &[FieldDescriptor], text: &str) -> Scalar {
    let field = fields.last().ok_or("a variable without a field")?;
    if field.cardinality() == Cardinality::Repeated {
        return Err("a list in a path".to_owned());
    }
    scalar_of_text(&field.kind(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_annotation_is_a_route() {
        let routes = Routes::read(&POOL).expect("all annotations are of a form that is known");
        let methods: std::collections::BTreeSet<&str> = routes.iter().map(|route| &*route.path).collect();
        // Counted in the API's sources: rules, and the methods that have some.
        assert!(methods.len() > 100 && routes.iter().count() > 220, "{} methods", methods.len());
        assert_eq!(POOL.get_message_by_name("google.rpc.Status").map(|kind| kind.fields().len()), Some(3));
    }

    #[test]
    fn a_literal_precedes_a_variable() {
        let path = "/api/v1/namespaces/n/workers/describe/k";
        let Found::Route(route, values) = ROUTES.find(&Method::GET, path) else { panic!("no route") };
        assert!(route.path.ends_with("/DescribeWorker"), "{}", route.path);
        assert_eq!(values, ["n", "k"]);
    }

    #[test]
    fn a_known_path_with_another_verb_is_told_apart() {
        assert!(matches!(ROUTES.find(&Method::PUT, "/cluster"), Found::OtherVerb));
        assert!(matches!(ROUTES.find(&Method::GET, "/clusters"), Found::Nothing));
    }
}
