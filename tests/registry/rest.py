"""Every path of the registry's REST interface, with its error codes."""

import json

from door import Door, arguments, quoted

NAME = {"type": "string", "x-ldop-element": "person.full-name"}


def schema(**more):
    return json.dumps({"type": "object", "additionalProperties": False, "properties": {"full_name": NAME}, **more})


def given(text, **more):
    return {"schema": text, "schemaType": "JSON", **more}


def who_may(options):
    nobody = Door(options.registry, options.ca)
    nobody.expect("GET", "/subjects", 401, 40101)
    Door(options.registry, options.ca, basic="connect:wrong").expect("GET", "/subjects", 401, 40101)
    system = Door(options.registry, options.ca, options.system_cert, options.system_key)
    system.expect("GET", "/schemas/types", 200, ["JSON"])
    system.expect("POST", "/subjects/a/versions", 403, 40301, given(schema()))
    system.expect("PUT", "/config", 403, 40301, {"compatibility": "NONE"})
    Door(options.registry, options.ca, basic=options.basic).expect("GET", "/", 200, {})


def registering(door):
    before = door.expect("GET", "/subjects", 200)
    assert "civil-status" in before and before == sorted(before), before
    door.expect("GET", "/associations/resources/-/orders?resourceType=topic&associationType=value", 200, [])
    first = door.expect("POST", "/subjects/a%2Fb/versions?normalize=False", 200, body=given(schema()))
    again = door.expect("POST", "/subjects/a%2Fb/versions?normalize=True", 200, body=given(schema()))
    assert first == again, (first, again)
    assert first["version"] == 1 and len(first["guid"]) == 36, first
    # The same content, written otherwise, in another subject: the same id, the author's text.
    spaced = json.dumps(json.loads(schema()), indent=4, sort_keys=True)
    other = door.expect("POST", "/subjects/other/versions", 200, {"id": first["id"]}, given(spaced, unknownField=1))
    door.expect("GET", "/subjects/other/versions/1", 200, {"schema": spaced, "subject": "other", "version": 1})
    door.expect("GET", f"/schemas/ids/{first['id']}", 200, {"schema": schema(), "schemaType": "JSON"})
    assert other["guid"] == first["guid"]
    described = given(schema(), metadata={"properties": {"owner": "Sở Tư pháp"}, "tags": {"full_name": ["PII"]}})
    second = door.expect("POST", "/subjects/a%2Fb/versions", 200, {"version": 2}, described)
    assert second["id"] != first["id"], "metadata belong to the content"
    found = door.expect("GET", "/subjects/a%2Fb/metadata?key=owner&value=" + quoted("Sở Tư pháp"), 200, {"version": 2})
    assert found["metadata"] == described["metadata"], found
    door.expect("GET", "/subjects/a%2Fb/metadata?key=owner&value=x", 404, 40403)

    for name, body, status, code in [
        ("no schema", {"schemaType": "JSON"}, 422, 42201),
        ("Avro, as no type means", {"schema": schema()}, 422, 42201),
        ("Protobuf", {"schema": "syntax", "schemaType": "PROTOBUF"}, 422, 42201),
        ("no JSON", given("{"), 422, 42201),
        ("unbound", given('{"type":"object","properties":{"a":{"type":"string"}}}'), 422, 42201),
        ("no such element", given(schema(properties={"a": {"type": "string", "x-ldop-element": "x.y"}})), 422, 42201),
        ("remote reference", given(schema(properties={"a": {"$ref": "https://example.org/a.json"}})), 422, 42201),
        ("unknown reference", given(schema(), references=[{"name": "x", "subject": "x", "version": 1}]), 422, 42201),
        ("bad version", given(schema(), references=[{"name": "x", "subject": "x", "version": 0}]), 422, 42201),
        ("rules", given(schema(), ruleSet={"domainRules": [{"name": "r"}]}), 422, 42210),
        ("id outside of import", given(schema(title="x"), id=77), 422, 42205),
        ("no body", b"", 400, 400),
        ("broken body", b'{"schema": "\\ud800', 400, 400),
        ("other types", {"schema": 1}, 400, 400),
        ("a list", [], 400, 400),
    ]:
        try:
            door.expect("POST", "/subjects/bad/versions", status, code, body)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None
    two = json.dumps({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}})
    told = door.expect("POST", "/subjects/bad/versions", 422, 42201, given(two))["message"]
    assert "/properties/a" in told and "/properties/b" in told, told
    door.expect("POST", "/subjects/%20/versions", 422, 42208, given(schema()))
    door.expect("POST", "/subjects/%00/versions", 422, 42208, given(schema()))
    door.expect("POST", "/subjects/%ff/versions", 400, 400, given(schema()))
    door.expect("POST", "/subjects/a%2Fb/versions?normalize=perhaps", 400, 400, given(schema()))
    door.expect("GET", "/subjects/bad/versions", 404, 40401)
    large = given(schema(description="x" * (9 << 20)))
    door.expect("POST", "/subjects/bad/versions", 422, 42209, large)
    return first, second


def reading(door, first, second):
    subject = "/subjects/a%2Fb"
    door.expect("POST", subject, 200, {"subject": "a/b", "version": 1, "id": first["id"]}, given(schema()))
    door.expect("POST", subject + "?normalize=False&deleted=True", 200, {"version": 1}, given(schema()))
    door.expect("POST", subject, 404, 40403, given(schema(title="unknown")))
    door.expect("POST", "/subjects/none", 404, 40401, given(schema()))
    door.expect("POST", subject, 422, 42201, given("{"))
    door.expect("GET", subject + "/versions", 200, [1, 2])
    door.expect("GET", subject + "/versions?offset=1&limit=1", 200, [2])
    for latest in ["latest", "-1", "2"]:
        door.expect("GET", subject + "/versions/" + latest, 200, {"version": 2, "id": second["id"]})
    for version in ["0", "-2", "x", "2147483648", "99999999999999999999"]:
        door.expect("GET", subject + "/versions/" + version, 422, 42202)
    door.expect("GET", subject + "/versions/3", 404, 40402)
    door.expect("GET", "/subjects/none/versions/1", 404, 40401)
    door.expect("GET", "/subjects/none/versions", 404, 40401)
    door.expect("GET", subject + "/versions/1/schema", 200, json.loads(schema()))
    door.expect("GET", subject + "/versions/1/referencedby", 200, [])
    ids = f"/schemas/ids/{first['id']}"
    door.expect("GET", ids + "?subject=a%2Fb&fetchMaxId=true", 200, {"maxId": second["id"], "version": 1})
    door.expect("GET", ids + "/schema", 200, json.loads(schema()))
    door.expect("GET", ids + "/subjects", 200, ["a/b", "other"])
    door.expect("GET", ids + "/versions", 200, [{"subject": "a/b", "version": 1}, {"subject": "other", "version": 1}])
    door.expect("GET", "/schemas/ids/999999", 404, 40403)
    door.expect("GET", "/schemas/ids/x", 404, 404)
    door.expect("GET", "/schemas/ids/999999/versions", 404, 40403)
    door.expect("GET", f"/schemas/guids/{first['guid']}", 200, {"id": first["id"], "schema": schema()})
    door.expect("GET", "/schemas/guids/00000000-0000-8000-8000-000000000000", 404, 40403)
    door.expect("GET", "/schemas/guids/zz", 404, 40403)
    door.expect("GET", "/subjects?subjectPrefix=a%2F", 200, ["a/b"])
    latest = door.expect("GET", "/schemas?subjectPrefix=a%2F&latestOnly=true", 200)
    assert [one["version"] for one in latest] == [2], latest
    door.expect("GET", "/contexts", 200, ["."])
    assert len(door.expect("GET", "/v1/metadata/id", 200)["id"]) == 32
    door.expect("GET", "/v1/metadata/version", 200)
    door.expect("GET", "/nothing", 404, 404)
    door.expect("GET", "/dek-registry/v1/keks", 404, 404)
    door.expect("PUT", "/subjects", 405, 405)


def references(door):
    base = schema(title="base")
    door.expect("POST", "/subjects/base/versions", 200, {"version": 1}, given(base))
    text = json.dumps({"type": "object", "properties": {"who": {"$ref": "base.json"}}})
    refers = given(text, references=[{"name": "base.json", "subject": "base", "version": -1}])
    found = door.expect("POST", "/subjects/refers/versions", 200, body=refers)
    door.expect("GET", "/subjects/base/versions/1/referencedby", 200, [found["id"]])
    shown = door.expect("GET", f"/schemas/ids/{found['id']}", 200, {"schema": text})
    assert shown["references"] == [{"name": "base.json", "subject": "base", "version": 1}], shown
    door.expect("DELETE", "/subjects/base/versions/1", 422, 42206)
    door.expect("DELETE", "/subjects/base", 422, 42206)
    door.expect("DELETE", "/subjects/refers", 200, [1])
    door.expect("DELETE", "/subjects/base", 200, [1])


def settings(door):
    door.expect("GET", "/config", 200, {"compatibilityLevel": "BACKWARD"})
    door.expect("GET", "/config/a%2Fb", 404, 40408)
    door.expect("GET", "/config/a%2Fb?defaultToGlobal=True", 200, {"compatibilityLevel": "BACKWARD"})
    door.expect("PUT", "/config/a%2Fb", 200, {"compatibility": "FULL_TRANSITIVE"}, {"compatibility": "full_transitive"})
    door.expect("GET", "/config/a%2Fb", 200, {"compatibilityLevel": "FULL_TRANSITIVE"})
    door.expect("PUT", "/config/a%2Fb", 422, 42203, {"compatibility": "SOMETIMES"})
    door.expect("PUT", "/config/a%2Fb", 422, 42203, {})
    lenient = {"compatibility": "BACKWARD", "compatibilityPolicy": "LENIENT"}
    door.expect("PUT", "/config/a%2Fb", 200, lenient, lenient)
    door.expect("GET", "/config/a%2Fb", 200, {"compatibilityPolicy": "LENIENT"})
    door.expect("DELETE", "/config/a%2Fb", 200, {"compatibilityLevel": "BACKWARD"})
    door.expect("DELETE", "/config/a%2Fb", 404, 40408)
    door.expect("PUT", "/config", 200, {"compatibility": "NONE"}, {"compatibility": "NONE"})
    door.expect("DELETE", "/config", 200, {"compatibilityLevel": "NONE"})
    door.expect("GET", "/config", 200, {"compatibilityLevel": "BACKWARD"})

    door.expect("GET", "/mode", 200, {"mode": "READWRITE"})
    door.expect("GET", "/mode/fixed", 404, 40409)
    door.expect("GET", "/mode/fixed?defaultToGlobal=true", 200, {"mode": "READWRITE"})
    door.expect("PUT", "/mode/fixed", 422, 42204, {"mode": "ASLEEP"})
    door.expect("PUT", "/mode/fixed", 200, {"mode": "READONLY"}, {"mode": "READONLY"})
    door.expect("POST", "/subjects/fixed/versions", 422, 42205, given(schema()))
    door.expect("DELETE", "/mode/fixed", 200, {"mode": "READONLY"})
    door.expect("PUT", "/mode/a%2Fb", 422, 42205, {"mode": "IMPORT"})
    door.expect("PUT", "/mode/moved", 200, {"mode": "IMPORT"}, {"mode": "IMPORT"})
    moved = given(schema(title="moved"), id=5000, version=7)
    door.expect("POST", "/subjects/moved/versions", 200, {"id": 5000, "version": 7}, moved)
    door.expect("POST", "/subjects/moved/versions", 422, 42201, given(schema(title="y"), id=5000, version=8))
    door.expect("DELETE", "/mode/moved", 200, {"mode": "IMPORT"})


def compatibility(door):
    def closed(**properties):
        return schema(title="evolving", properties={"full_name": NAME, **properties})

    sex = {"type": "string", "x-ldop-element": "person.sex"}
    path = "/compatibility/subjects/evolving/versions"
    door.expect("POST", path + "/latest", 200, {"is_compatible": True}, given(closed()))
    door.expect("POST", path, 200, {"is_compatible": True}, given(closed()))
    door.expect("POST", path + "/1", 404, 40402, given(closed()))
    door.expect("POST", "/subjects/evolving/versions", 200, {"version": 1}, given(closed()))
    door.expect("POST", path + "/latest", 200, {"is_compatible": True}, given(closed(sex=sex)))
    told = door.expect("POST", path + "/latest?verbose=true", 200, {"is_compatible": False},
                       given(schema(title="evolving", required=["full_name"])))
    assert any("REQUIRED" in message and "/required" in message for message in told["messages"]), told
    door.expect("POST", path + "/x", 422, 42202, given(closed()))
    door.expect("POST", path + "/1", 422, 42201, given("{"))
    told = door.expect("POST", path + "/1?verbose=true", 200, {"is_compatible": False}, given("{"))
    assert told["messages"], told
    refused = door.expect("POST", "/subjects/evolving/versions", 409, 40901, given(schema(title="evolving", required=["full_name"])))
    assert "/required" in refused["message"], refused
    door.expect("POST", "/subjects/evolving/versions", 200, {"version": 2}, given(closed(sex=sex)))
    # Back to the first version: the registry knows it, and nothing is registered.
    door.expect("POST", "/subjects/evolving/versions", 200, {"version": 1}, given(closed()))
    door.expect("PUT", "/config/evolving", 200, body={"compatibility": "NONE"})
    door.expect("POST", "/subjects/evolving/versions", 200, {"version": 3}, given(schema(title="evolving", required=["full_name"])))
    door.expect("PUT", "/config/evolving", 200, body={"compatibility": "BACKWARD_TRANSITIVE"})
    door.expect("POST", path, 200, {"is_compatible": False}, given(schema(required=["full_name"], title="new")))


def deleting(door, first):
    subject = "/subjects/a%2Fb"
    door.expect("DELETE", "/subjects/none", 404, 40401)
    door.expect("DELETE", subject + "/versions/9", 404, 40402)
    door.expect("DELETE", subject + "/versions/x", 422, 42202)
    door.expect("DELETE", subject + "/versions/1?permanent=true", 404, 40407)
    door.expect("DELETE", subject + "/versions/1", 200, 1)
    door.expect("DELETE", subject + "/versions/1", 404, 40406)
    door.expect("GET", subject + "/versions", 200, [2])
    door.expect("GET", subject + "/versions?deleted=true", 200, [1, 2])
    door.expect("GET", subject + "/versions?deletedOnly=true", 200, [1])
    door.expect("GET", subject + "/versions/1", 404, 40402)
    door.expect("GET", subject + "/versions/1?deleted=true", 200, {"deleted": True})
    door.expect("GET", f"/schemas/ids/{first['id']}", 200, {"schema": schema()})
    door.expect("GET", f"/schemas/ids/{first['id']}/subjects", 200, ["other"])
    door.expect("GET", f"/schemas/ids/{first['id']}/subjects?deleted=true", 200, ["a/b", "other"])
    door.expect("DELETE", subject + "?permanent=true", 404, 40405)
    door.expect("DELETE", subject, 200, [2])
    door.expect("DELETE", subject, 404, 40404)
    door.expect("GET", subject + "/versions", 404, 40401)
    assert "a/b" not in door.expect("GET", "/subjects", 200)
    assert "a/b" in door.expect("GET", "/subjects?deleted=true", 200)
    assert "a/b" in door.expect("GET", "/subjects?deletedOnly=true", 200)
    door.expect("DELETE", subject + "/versions/1?permanent=true", 200, 1)
    door.expect("DELETE", subject + "?permanent=true", 200, [2])
    assert "a/b" not in door.expect("GET", "/subjects?deleted=true", 200)
    # Deleted for good and registered anew: the same content has the same id, and no version number comes back.
    door.expect("POST", subject + "/versions", 200, {"id": first["id"], "version": 3}, given(schema()))
    door.expect("DELETE", "/subjects/civil-status", 422, 42206)


def main():
    options = arguments()
    who_may(options)
    for door in [
        Door(options.registry, options.ca, options.cert, options.key),
    ]:
        first, second = registering(door)
        reading(door, first, second)
        references(door)
        settings(door)
        compatibility(door)
        deleting(door, first)
    by_name = Door(options.registry, options.ca, basic=options.basic)
    by_name.expect("POST", "/subjects/by-name/versions", 200, {"version": 1}, given(schema(title="by name")))
    print("every path answered as it should")


if __name__ == "__main__":
    main()
