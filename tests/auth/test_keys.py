import hmac
import re
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.auth.keys import Keys, new_key
from service.core.owners import KeyEntry, parse_entries


def entry(name: str, key: str) -> KeyEntry:
    return KeyEntry(name, sha256(key.encode()).digest())


KEYS = Keys([entry("first", "ail_first"), entry("ключ", "ail_ключ"), entry("last", "ail_last")])


class TestAKey:
    @pytest.mark.parametrize("name", ["first", "ключ", "last"])
    def test_is_its_owners(self, name: str) -> None:
        assert KEYS.owner_of(f"ail_{name}") == f"key:{name}"

    @pytest.mark.parametrize(
        "other", ["ail_firs", "ail_first ", "AIL_FIRST", "ail_first\0", "first", "\udcff"]
    )
    def test_that_is_another_is_nobodys(self, other: str) -> None:
        assert KEYS.owner_of(other) is None

    def test_is_not_its_own_hash(self) -> None:
        assert KEYS.owner_of(sha256(b"ail_first").hexdigest()) is None

    @given(st.text(st.characters(exclude_categories=[])))
    def test_that_is_made_up_is_nobodys_whatever_it_is(self, key: str) -> None:
        assert KEYS.owner_of(key) is None

    @pytest.mark.parametrize("key", ["ail_first", "ail_last", "none"])
    def test_is_compared_in_constant_time_with_every_entry(
        self, key: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        compared: list[bytes | str] = []
        real = hmac.compare_digest

        def watch(kept: bytes, given_digest: bytes) -> bool:
            compared.append(kept)
            return real(kept, given_digest)

        monkeypatch.setattr(hmac, "compare_digest", watch)
        KEYS.owner_of(key)

        assert compared == [
            sha256(f"ail_{name}".encode()).digest() for name in ("first", "ключ", "last")
        ]


class TestANewKey:
    def test_is_accepted_by_its_entry_as_it_is_written(self) -> None:
        key, made = new_key("ci")

        assert Keys(parse_entries(str(made))).owner_of(key) == "key:ci"

    def test_shows_what_it_is_and_is_long(self) -> None:
        key, _ = new_key("ci")

        assert re.fullmatch(r"ail_[A-Za-z0-9_-]{43}", key)

    def test_is_another_each_time(self) -> None:
        assert len({new_key("ci")[0] for _ in range(100)}) == 100

    @pytest.mark.parametrize("name", ["", "a b", "a:b", "a,b", "x" * 65])
    def test_has_a_name_that_fits_into_an_entry(self, name: str) -> None:
        with pytest.raises(ValueError, match="the name of a key must be"):
            new_key(name)
