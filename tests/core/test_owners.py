import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.owners import (
    ANONYMOUS,
    KeyEntry,
    check_name,
    owner_of_key,
    owner_of_subject,
    parse_entries,
)

HASH = "ab" * 32
OTHER = "CD" * 32
KEY = "ail_this-is-the-key-itself"


def fault_of(given_value: str) -> str:
    with pytest.raises(ValueError, match="must be entries") as raised:
        parse_entries(given_value)
    return str(raised.value)


class TestEntries:
    def test_are_read_with_spaces_and_lines_between_them(self) -> None:
        assert parse_entries(f"ci:{HASH} ,\nAlice.B-c_1:{OTHER},") == (
            KeyEntry("ci", bytes.fromhex(HASH)),
            KeyEntry("Alice.B-c_1", bytes.fromhex(OTHER)),
        )

    def test_are_written_as_they_are_read(self) -> None:
        (entry,) = parse_entries(f"ci:{HASH}")

        assert str(entry) == f"ci:{HASH}"

    @pytest.mark.parametrize("digest", ["", HASH[1:], HASH + "0", "g" + HASH[1:], KEY, "٣" * 64])
    def test_with_no_hash_are_told_by_number_and_not_repeated(self, digest: str) -> None:
        said = fault_of(f"ci:{HASH},bob:{digest}")

        assert "entry 2 has no SHA-256 of 64 hexadecimal digits" in said
        assert "entry 1" not in said
        assert "bob" not in said
        assert not digest or digest not in said

    @pytest.mark.parametrize("name", ["", "a b", "a/b", "é", "x" * 65, "a\n"])
    def test_with_no_name_are_told_by_number(self, name: str) -> None:
        assert "entry 1 has no name of 1 to 64 letters" in fault_of(f"{name}:{HASH}")

    def test_that_is_the_key_alone_is_not_repeated(self) -> None:
        assert KEY not in fault_of(KEY)

    def test_have_names_of_their_own(self) -> None:
        said = fault_of(f"ci:{HASH},bob:{'0' * 64},ci:{OTHER}")

        assert "entry 3 has the name of entry 1" in said

    def test_have_keys_of_their_own(self) -> None:
        said = fault_of(f"ci:{OTHER},bob:{OTHER.lower()}")

        assert "entry 2 has the key of entry 1" in said
        assert OTHER.lower() not in said

    def test_are_told_all_their_faults_at_once(self) -> None:
        said = fault_of(f"a b:1,ci:{HASH},:{HASH}")

        assert said.count("entry 1") == 2
        assert said.count("entry 3") == 1

    @pytest.mark.parametrize("nothing", [",", " , "])
    def test_that_are_none_do_not_pass_for_no_authentication(self, nothing: str) -> None:
        assert "there is none" in fault_of(nothing)

    def test_do_not_print_their_hashes(self) -> None:
        assert HASH not in repr(parse_entries(f"ci:{HASH}"))


def test_a_name_that_fits_no_entry_fits_no_key() -> None:
    with pytest.raises(ValueError, match="1 to 64 letters, digits"):
        check_name("a,b")


NAMES = st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True)
CLAIMS = st.text(st.characters(exclude_categories=["C"]), max_size=40)


@given(NAMES, CLAIMS, CLAIMS, CLAIMS, CLAIMS)
def test_no_two_of_them_are_the_same_owner(
    name: str, issuer: str, subject: str, other_issuer: str, other_subject: str
) -> None:
    first = owner_of_subject(issuer, subject)

    assert first not in (ANONYMOUS, owner_of_key(name))
    assert (first == owner_of_subject(other_issuer, other_subject)) == (
        (issuer, subject) == (other_issuer, other_subject)
    )


def test_a_colon_does_not_move_from_the_subject_to_the_issuer() -> None:
    assert owner_of_subject("a", "b:c") != owner_of_subject("a:b", "c")
