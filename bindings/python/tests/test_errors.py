from __future__ import annotations

import builtins
import pickle

import pytest

import mdns_registry
from mdns_registry import Node, Registry, RegistryError, Service, errors
from mdns_registry import _mdns_registry as native

NEGATIVE = [status for status in native.STATUSES if status[0] < 0]


def test_every_negative_status_a_caller_can_provoke_has_one_exception() -> None:
    misuse = {"NULL", "HANDLE", "TYPE", "VERSION"}
    assert list(errors.BY_STATUS) == [name for _, name, _ in NEGATIVE if name not in misuse]
    for name in misuse | {"PANIC"}:
        error = errors.from_json(f'{{"name":"{name}","message":"so"}}')
        assert (type(error), error.status, error.code) == (errors.InternalError, name, errors.CODES[name])


@pytest.mark.parametrize(("code", "name", "text"), NEGATIVE)
def test_an_exception_carries_what_the_library_said(code: int, name: str, text: str) -> None:
    said = f'{{"code":{code},"name":"{name}","message":"{text}","field":"nodes[0].id","limit":255,"value":300}}'
    error = errors.from_json(said)
    assert (error.code, error.status, str(error)) == (code, name, text)
    assert (error.field, error.limit, error.value) == ("nodes[0].id", 255, 300)
    assert type(error).__name__ in repr(error)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.status) == (type(error), text, name)
    assert (again.field, again.limit, again.value) == ("nodes[0].id", 255, 300)


@pytest.mark.parametrize("error", errors.BY_STATUS.values())
def test_every_exception_is_also_the_built_in_it_resembles(error: type[RegistryError]) -> None:
    resembles = [base for base in error.__bases__ if base is not RegistryError]
    assert len(resembles) == 1
    assert getattr(builtins, resembles[0].__name__) is resembles[0]
    assert resembles[0] not in (Exception, BaseException)


def test_every_exception_is_found_in_the_package() -> None:
    everyone: list[type[RegistryError]] = [RegistryError, *errors.BY_STATUS.values()]
    for error in everyone:
        assert getattr(mdns_registry, error.__name__) is error
        assert error.__name__ in mdns_registry.__all__


def test_a_name_nobody_has_is_a_lookup_error(registry: Registry) -> None:
    with pytest.raises(LookupError, match="nobody") as raised:
        registry.get_service("nobody")
    assert isinstance(raised.value, mdns_registry.NotFound)


def test_an_id_that_is_too_long_says_field_limit_and_size(registry: Registry) -> None:
    with pytest.raises(ValueError, match="300 bytes, the limit is 255") as raised:
        registry.register(Service("a", nodes=[Node("x" * 300, port=1)]))
    error = raised.value
    assert isinstance(error, mdns_registry.TooLarge)
    assert (error.field, error.limit, error.value) == ("nodes[0].id", 255, 300)


@pytest.mark.parametrize("name", [5, None, b"a"])
def test_a_name_that_is_no_string_is_a_type_error(registry: Registry, name: str) -> None:
    with pytest.raises(TypeError, match="name must be str, not"):
        registry.get_service(name)


def test_half_a_surrogate_pair_is_not_utf8(registry: Registry) -> None:
    for call in (registry.get_service, registry.deregister):
        with pytest.raises(errors.Utf8Error, match=r"byte \d+ is 0xed"):
            call("é\ud800")


def test_an_unknown_option_names_the_nearest_and_an_unknown_interface_those_there_are() -> None:
    with pytest.raises(mdns_registry.OptionError, match='nearest known is "addrs"'):
        Registry(adrs=["lo"])  # type: ignore[call-arg]
    with pytest.raises(mdns_registry.OptionError, match=r"lo \(127.0.0.1\)"):
        Registry(addrs=["eth77"])


def test_what_is_not_built_is_not_implemented() -> None:
    with pytest.raises(NotImplementedError, match="secure"):
        Registry(secure=True)


def test_a_text_that_is_no_json_says_where() -> None:
    with pytest.raises(mdns_registry.JsonError, match="column"):
        Service.from_json('{"name": a}')


@pytest.mark.parametrize("ttl", [2.9, 86_401, -1, float("nan"), float("inf")])
def test_a_lease_outside_its_limits_is_refused(registry: Registry, ttl: float) -> None:
    with pytest.raises(ValueError, match="ttl"):
        registry.register(Service("a", nodes=[Node("x", port=1)]), ttl=ttl)


@pytest.mark.parametrize("ttl", ["30", True, [1]])
def test_a_lease_that_is_no_time_is_a_type_error(registry: Registry, ttl: float) -> None:
    with pytest.raises(TypeError, match="ttl must be seconds or a timedelta"):
        registry.register(Service("a", nodes=[Node("x", port=1)]), ttl=ttl)
