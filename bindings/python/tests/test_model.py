from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections import UserDict
from typing import Any

import pytest

from mdns_registry import Action, Endpoint, Event, Node, Reason, Service, Value, errors
from mdns_registry import _mdns_registry as native

VALUE = Value("HelloRequest", "HelloRequest", [Value("name", "string"), Value("tags", "[]string", [Value()])])
NODE = Node("greeter-1", "10.0.0.7", 9090, {"zone": "a", "emoji": "🙂 = \n"})
ENDPOINT = Endpoint("Greeter.Hello", VALUE, None, {"stream": "false"})
SERVICE = Service("greeter", "1.2.0", {"team": "Front Desk"}, [ENDPOINT], [NODE, Node("é.2", "fe80::1%lo", 1)])
EVENT = Event(Action.CREATE, Service("greeter", nodes=[NODE]), "key", Reason.LINK_DOWN)
EVERY = [VALUE, NODE, ENDPOINT, SERVICE, EVENT, Event(type="synced"), Event(type="resync")]


@pytest.mark.parametrize("one", EVERY, ids=lambda one: type(one).__name__)
def test_every_dataclass_comes_back_from_its_repr_a_pickle_and_a_copy(one: Any) -> None:
    assert eval(repr(one)) == one
    assert pickle.loads(pickle.dumps(one)) == one
    assert copy.deepcopy(one) == one
    assert dataclasses.replace(one) == one
    assert hash(copy.deepcopy(one)) == hash(one)


@pytest.mark.parametrize("one", EVERY, ids=lambda one: type(one).__name__)
def test_every_dataclass_is_frozen_and_has_slots(one: Any) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(one, dataclasses.fields(one)[0].name, None)
    with pytest.raises((AttributeError, TypeError)):
        one.another = 1
    assert not hasattr(one, "__dict__")


def test_a_service_comes_back_from_json_with_go_micros_keys() -> None:
    text = SERVICE.to_json()
    assert Service.from_json(text) == SERVICE
    assert list(json.loads(text)) == ["name", "version", "metadata", "endpoints", "nodes"]


def test_words_are_strings_that_say_themselves() -> None:
    assert {"update": 1}[Action.UPDATE] == 1
    assert f"{Action.UPDATE} {Reason.LINK_DOWN}" == "update link-down"
    assert json.dumps([Action.DELETE]) == '["delete"]'


def test_actions_and_reasons_are_those_of_the_library() -> None:
    assert [str(action) for action in Action] == native.ACTIONS
    assert [str(reason) for reason in Reason] == native.REASONS


def test_an_event_can_be_matched() -> None:
    match EVENT:
        case Event(Action.CREATE, Service("greeter", nodes=(Node(id, address),))):
            assert (id, address) == ("greeter-1", "10.0.0.7")
        case _:
            pytest.fail("no match")
    assert EVENT.node == NODE
    assert Event(type="synced").node is None


def read(description: Any) -> Service:
    from mdns_registry.model import to_json

    return Service.from_json(to_json("service", description))


def test_dataclasses_and_mappings_mix() -> None:
    mapping = UserDict(name="greeter", nodes=[NODE, {"id": "2", "address": "[::1]:81"}], version=None)
    assert read(mapping) == Service("greeter", nodes=(NODE, Node("2", "::1", 81)))
    assert read(Service("greeter", nodes=[Node("1", "host:82")])).nodes == (Node("1", "host", 82),)


@pytest.mark.parametrize(
    ("description", "field", "says"),
    [
        ({"name": "a", "nodes": [{"id": "x", "prot": 1}]}, "nodes[0].prot", "known are id, address, port, metadata"),
        ({"name": "a", "metadata": {1: "x"}}, "metadata", "keys must be str, got 1"),
        ({"name": "a", "nodes": [NODE, object()]}, "nodes[1]", "got object"),
        ({"name": b"a"}, "name", "got bytes"),
        ({"name": 5}, "name", "must be a string, got 5"),
        (Service("a", nodes=[Node("x", port=70_000)]), "nodes[0].port", "from 1 to 65535, got 70000"),
        (Service("a", nodes=[Node("x")]), "nodes[0].port", "here or at the end of address"),
        (Service("a", nodes=[NODE, NODE]), "nodes[1].id", "must be unique"),
        (Service("a\x00"), "name", "no control characters"),
    ],
)
def test_a_bad_field_is_named_with_its_rule_and_value(description: Any, field: str, says: str) -> None:
    with pytest.raises(errors.Invalid) as raised:
        read(description)
    assert raised.value.field == field
    assert says in str(raised.value)


def test_a_description_without_bottom_is_refused_by_its_limit() -> None:
    loop: dict[str, Any] = {"name": "a"}
    loop["endpoints"] = [loop]
    with pytest.raises(errors.TooLarge, match="the limit is 32 levels") as raised:
        read(loop)
    assert raised.value.limit == native.JSON_DEPTH


def test_a_callers_dictionary_is_not_kept() -> None:
    metadata = {"a": "1"}
    node = Node("x", port=1, metadata=metadata)
    values = [Value("a")]
    value = Value(values=values)
    metadata["b"] = "2"
    values.clear()
    assert node.metadata == {"a": "1"}
    assert value.values == (Value("a"),)
