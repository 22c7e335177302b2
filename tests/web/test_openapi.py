"""The description of the API is complete: a client can be written from it alone."""

import json
import re

import pytest


@pytest.fixture
def document(client):
    return client.get("/openapi.json").json()


def operations(document):
    return [(path, method, found) for path, own in document["paths"].items() for method, found in own.items()]


def test_every_operation_explains_itself(document):
    """Summary, description, one known tag, an id of its own."""
    tags = {tag["name"] for tag in document["tags"]}
    found = operations(document)
    for path, _, operation in found:
        assert operation["summary"], path
        assert operation["description"], path
        assert set(operation["tags"]) <= tags
    assert len({operation["operationId"] for *_, operation in found}) == len(found)


def test_every_reference_leads_somewhere(document):
    """No schema is missing."""
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert names <= document["components"]["schemas"].keys()


def test_every_failure_is_declared_as_a_problem(document):
    """With its media type; the framework's own shape of errors is nowhere."""
    for path, _, operation in operations(document):
        for status, response in operation["responses"].items():
            if status >= "400":
                assert list(response["content"]) == ["application/problem+json"], (path, status)
    assert "HTTPValidationError" not in json.dumps(document["paths"])
    assert "bad_image" in document["components"]["schemas"]["Problem"]["properties"]["code"]["description"]


def test_every_field_of_a_form_is_described(document):
    """A form can be filled in from the description."""
    schemas = document["components"]["schemas"]
    for name in ("MatchForm", "ImportForm"):
        for field, schema in schemas[name]["properties"].items():
            shared = schemas.get(schema.get("$ref", "").rpartition("/")[2], {})
            assert schema.get("description") or shared.get("description"), (name, field)


def test_answers_have_shapes(document):
    """Each success is declared with the media type that it has; one without content has none."""
    for path, _, operation in operations(document):
        for status, response in operation["responses"].items():
            if status < "400":
                assert bool(response.get("content")) is (status != "204"), (path, status)


def test_answers_stay_within_their_description(client, document):
    """What is sent has exactly the declared fields."""
    schemas = document["components"]["schemas"]
    for address, name in (("/individuals", "IndividualsAnswer"), ("/annotations/1", "AnnotationDetailAnswer")):
        assert client.get(address).json().keys() == schemas[name]["properties"].keys()
        assert schemas[name]["additionalProperties"] is False


def test_the_description_is_made_once(app):
    """And is the same object afterwards."""
    assert app.openapi() is app.openapi()


def test_no_integer_is_too_large_to_be_answered(client, document):
    """Every integer parameter of every GET, at the ends of 32 and 64 bits and beyond: no answer is a fault."""
    upload_id, met = client.post("/uploads").json()["upload_id"], 0
    for path, methods in document["paths"].items():
        parameters = methods.get("get", {}).get("parameters", [])
        for parameter in parameters:
            shapes = [parameter["schema"], *parameter["schema"].get("anyOf", [])]
            if not any(shape.get("type") == "integer" for shape in shapes):
                continue
            for value in (2**31 - 1, 2**31, 2**63 - 8, 2**63 - 1, 2**63, 10**30, -(2**63), 0):
                place = {"upload_id": upload_id} | ({parameter["name"]: value} if parameter["in"] == "path" else {})
                address = re.sub(r"\{(\w+)[^}]*\}", lambda found, place=place: str(place.get(found[1], 1)), path)
                query = {parameter["name"]: value} if parameter["in"] == "query" else {}
                answer = client.get(address, params=query)
                assert answer.status_code < 500 or answer.status_code == 503, (address, query)
                met += 1
    assert met > 40
