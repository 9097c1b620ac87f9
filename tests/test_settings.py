import re
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.owners import KeyEntry
from service.core.quota import Rate
from service.core.request import UnsupportedParameters
from service.settings import LogFormat, Settings, SettingsError, load_settings

EXAMPLE = Path(__file__).parent.parent / "config" / ".env.example"
FIELDS = attrs.fields_dict(Settings)
NAMES = [name.upper() for name in FIELDS]
SECRETS = [name.upper() for name, field in FIELDS.items() if field.metadata["secret"]]
WHOLE_NUMBERS = [name.upper() for name, field in FIELDS.items() if field.type is int]
SECONDS = [name.upper() for name, field in FIELDS.items() if field.type is float]
SECRET = "gsk_very-secret"  # as long as no default holds it
HASH = "ab" * 32
ANYWHERE = ["0.0.0.0", "::", "192.168.1.2", "fe80::1%eth0", "chat.example.com", "localhost.evil"]


def faults_of(**variables: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load_settings(variables)
    return str(raised.value).splitlines()


def value_of(name: str, given_value: str) -> object:
    return getattr(load_settings({name: given_value}), name.lower())


class TestTheExample:
    def test_shows_every_setting_with_its_default(self) -> None:
        now, _, _ = EXAMPLE.read_text(encoding="utf-8").partition("# --- For a later version")
        given = re.findall(r"^#?([A-Z_]+)=(.*)$", now, re.MULTILINE)
        shown = {name: value for name, value in given if not name.startswith("OTEL_")}

        assert sorted(shown) == sorted(NAMES)
        assert load_settings(shown) == Settings()


class TestWhatIsGiven:
    def test_nothing_gives_the_defaults(self) -> None:
        assert load_settings({}) == Settings()

    @pytest.mark.parametrize("empty", ["", " ", "\n"])
    def test_what_is_empty_is_not_set(self, empty: str) -> None:
        files = [f"{name}_FILE" for name in NAMES]

        assert load_settings(dict.fromkeys([*NAMES, *files], empty)) == Settings()

    def test_what_is_not_a_setting_is_passed_over(self) -> None:
        assert load_settings({"PATH": "/bin", "NO_SETTING": "x", "port": "1"}) == Settings()

    @pytest.mark.parametrize(
        ("name", "given_value", "value"),
        [
            ("GROQ_API_KEY", " key\n", "key"),
            ("GROQ_BASE_URL", "HTTPS://proxy.example:8443/x", "HTTPS://proxy.example:8443/x"),
            ("ALLOWED_HOSTS", "Chat.Example.com, b,", ("chat.example.com", "b")),
            ("ALLOWED_HOSTS", "*", ("*",)),
            ("MAX_CONNECTIONS", "1", 1),
            ("PORT", "0", 0),
            ("PORT", "65535", 65535),
            ("API_KEYS", f"ci:{HASH}", (KeyEntry("ci", bytes.fromhex(HASH)),)),
            ("JWT_JWKS", "https://id.example/jwks", "https://id.example/jwks"),
            ("JWT_JWKS", "/run/jwks.json", "/run/jwks.json"),
            ("ALLOW_ANONYMOUS", "true", True),
            (
                "CORS_ORIGINS",
                "https://App.Example.com:443,http://a:80,https://b:80",
                ("https://app.example.com", "http://a", "https://b:80"),
            ),
            ("DEBUG", "True", True),
            ("DEBUG", "no", False),
            ("LOG_LEVEL", "warning", "WARNING"),
            ("LOG_FORMAT", "json", LogFormat.JSON),
            ("CORS_ORIGINS", "http://a , https://b:3000,", ("http://a", "https://b:3000")),
            ("CORS_ORIGINS", "*", ("*",)),
            ("CONFIG_DIR", "/etc/chat", Path("/etc/chat")),
            ("DISCONNECT_GRACE", "0", 0.0),
            ("KEEPALIVE_INTERVAL", "0.25", 0.25),
            ("UNSUPPORTED_PARAMETERS", "ignore", UnsupportedParameters.IGNORE),
            ("RATE_LIMIT_REQUESTS", "60/minute", Rate(60, 60)),
            ("RATE_LIMIT_REQUESTS", "1/Second", Rate(1, 1)),
            ("RATE_LIMIT_TOKENS", "200000/day", Rate(200_000, 86_400)),
            ("RATE_LIMIT_TOKENS", "5 per 10 minutes", Rate(5, 600)),
            ("RATE_LIMIT_TOKENS", "5 / 2hours", Rate(5, 7_200)),
            ("RATE_LIMIT_CONCURRENT_RUNS", "8", 8),
        ],
    )
    def test_is_read(self, name: str, given_value: str, value: object) -> None:
        assert value_of(name, given_value) == value


class TestFaults:
    def test_are_told_all_at_once_with_what_was_given(self) -> None:
        assert faults_of(
            PORT="http", DEBUG="maybe", LOG_FORMAT="xml", CORS_ORIGINS="a.example"
        ) == [
            "PORT must be a whole number from 0 to 65535, got 'http'",
            "DEBUG must be true or false, got 'maybe'",
            "LOG_FORMAT must be one of console, json, got 'xml'",
            "CORS_ORIGINS must be origins like https://chat.example.com, or *, got 'a.example'",
        ]

    @pytest.mark.parametrize(
        "odd", ["nan", "inf", "-1", "+1", "1.0", "1e3", "0x10", "1_000", "٣", "１", "9" * 19, "1 2"]
    )
    def test_what_is_no_whole_number_is_refused(self, odd: str) -> None:
        faults = faults_of(**dict.fromkeys(WHOLE_NUMBERS, odd))

        assert [fault.partition(" must be a whole number ")[0] for fault in faults] == WHOLE_NUMBERS
        assert all(fault.endswith(f", got {odd!r}") for fault in faults)

    @pytest.mark.parametrize(
        "odd", ["nan", "inf", "-1", "+1", "1e3", "1,5", "٣", "１.５", "9" * 10, "1.", "5s", "²"]
    )
    def test_what_is_no_time_is_refused(self, odd: str) -> None:
        faults = faults_of(**dict.fromkeys(SECONDS, odd))

        assert [fault.partition(" must be seconds, ")[0] for fault in faults] == SECONDS
        assert all(fault.endswith(f", got {odd!r}") for fault in faults)

    @pytest.mark.parametrize("name", ["KEEPALIVE_INTERVAL", "SEND_TIMEOUT", "MAX_RUN_DURATION"])
    @pytest.mark.parametrize("zero", ["0", "0.0", f"0.{'0' * 400}1"])
    def test_a_time_of_nothing_is_refused_where_it_would_stop_everything(
        self, name: str, zero: str
    ) -> None:
        (fault,) = faults_of(**{name: zero})

        assert fault.startswith(f"{name} must be seconds, more than 0, got ")

    @pytest.mark.parametrize(
        ("name", "odd"),
        [
            ("PORT", "65536"),
            ("MAX_ACTIVE_RUNS", "0"),
            ("MAX_CONNECTIONS", "0"),
            ("MAX_BODY_BYTES", "1023"),
            ("UPSTREAM_MAX_RETRIES", "11"),
        ],
    )
    def test_a_number_out_of_range_is_refused(self, name: str, odd: str) -> None:
        assert len(faults_of(**{name: odd})) == 1

    @pytest.mark.parametrize(
        "odd", ["api.groq.com", "ftp://a", "http://", "https:///x", "http://[::1", "http://a:99999"]
    )
    def test_what_is_no_url_is_refused(self, odd: str) -> None:
        assert faults_of(GROQ_BASE_URL=odd) == [
            f"GROQ_BASE_URL must be an http:// or https:// URL, got {odd!r}"
        ]

    @pytest.mark.parametrize(
        "odd", ["a", "https://a/", "https://a/x", "https://a?b", "https://a#b", "http://[", "null"]
    )
    def test_what_is_no_origin_is_refused(self, odd: str) -> None:
        (fault,) = faults_of(CORS_ORIGINS=f"https://fit.example,{odd}")

        assert fault.startswith("CORS_ORIGINS must be origins like https://chat.example.com, or *")

    @pytest.mark.parametrize(
        ("odd", "told"),
        [
            ("https://", "must be an http:// or https:// URL"),
            ("file:///jwks.json", "must be an http:// or https:// URL"),
            ("ftp://user:hidden@host/", "must be an http:// or https:// URL"),
            ('{"keys": []}', "must be a URL or the path of a file, not the JWKS itself"),
        ],
    )
    def test_what_leads_to_no_signing_keys_is_refused(self, odd: str, told: str) -> None:
        assert faults_of(JWT_JWKS=odd) == [f"JWT_JWKS {told}"]

    def test_an_entry_of_a_key_is_told_by_its_number_and_without_its_hash(self) -> None:
        (fault,) = faults_of(API_KEYS=f"ci:{HASH},bob:{HASH[2:]},ci:{SECRET}")

        assert fault.startswith("API_KEYS must be entries name:sha256-hex, comma-separated: ")
        assert "entry 2 has no SHA-256" in fault
        assert "entry 3 has no SHA-256" in fault
        assert HASH[2:] not in fault
        assert SECRET not in fault

    @pytest.mark.parametrize("name", ["RATE_LIMIT_REQUESTS", "RATE_LIMIT_TOKENS"])
    @pytest.mark.parametrize(
        "odd",
        [
            *("60", "0/minute", "60/0 minutes", "1/99999 days", "9" * 13 + "/day"),
            *("-1/day", "1.5/day", "٣/day", "/minute", "60//minute"),
            *("60/month", "60/minutely", "60/minute; 1/day"),
        ],
    )
    def test_what_is_no_rate_is_refused(self, name: str, odd: str) -> None:
        assert faults_of(**{name: odd}) == [
            f"{name} must be so many per second, minute, hour or day, like 60/minute, got {odd!r}"
        ]

    @pytest.mark.parametrize("odd", ["0", "-1", "8/minute", "1.0"])
    def test_what_is_no_number_of_runs_is_refused(self, odd: str) -> None:
        assert faults_of(RATE_LIMIT_CONCURRENT_RUNS=odd) == [
            f"RATE_LIMIT_CONCURRENT_RUNS must be a whole number of 1 or more, got {odd!r}"
        ]

    @pytest.mark.parametrize(
        "odd", ["http://a", "a:80", "a/b", "a b", "[::1]", "*.a", "chat.example.com,a:1"]
    )
    def test_what_is_no_name_of_a_host_is_refused(self, odd: str) -> None:
        (fault,) = faults_of(ALLOWED_HOSTS=odd)

        assert fault.startswith("ALLOWED_HOSTS must be names like chat.example.com, without port")

    def test_what_is_long_is_told_shortly(self) -> None:
        (fault,) = faults_of(PORT="x" * 10_000)

        assert len(fault) < 150

    @given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=20), max_size=4))
    def test_whatever_is_given_is_read_or_refused_by_name(self, variables: dict[str, str]) -> None:
        try:
            settings = load_settings(variables)
        except SettingsError as exc:
            told = {line.partition(" ")[0] for line in str(exc).split("\n")}
        else:
            told = set()
            assert isinstance(settings, Settings)

        assert told <= variables.keys()


class TestWithoutAuthentication:
    @pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost", "LOCALHOST"])
    def test_this_machine_is_served(self, host: str) -> None:
        assert load_settings({"HOST": host}).host == host

    @pytest.mark.parametrize("host", ANYWHERE)
    def test_no_other_machine_is_served_unasked(self, host: str) -> None:
        (fault,) = faults_of(HOST=host)

        assert fault.startswith(f"HOST {host!r} lets other machines in")
        assert all(way in fault for way in ("API_KEYS", "JWT_JWKS", "ALLOW_ANONYMOUS=true"))

    @pytest.mark.parametrize("host", ANYWHERE)
    @pytest.mark.parametrize(
        ("name", "value"),
        [("API_KEYS", f"ci:{HASH}"), ("JWT_JWKS", "jwks.json"), ("ALLOW_ANONYMOUS", "true")],
    )
    def test_other_machines_are_served_when_told_to(self, host: str, name: str, value: str) -> None:
        assert load_settings({"HOST": host, name: value}).host == host

    def test_what_only_jwts_have_is_not_taken_for_it(self) -> None:
        assert faults_of(JWT_ISSUER="https://id.example", JWT_AUDIENCE="chat", HOST="::") == [
            "JWT_ISSUER does nothing without JWT_JWKS, the keys that sign JWTs",
            "JWT_AUDIENCE does nothing without JWT_JWKS, the keys that sign JWTs",
            *faults_of(HOST="::"),
        ]


class TestSecrets:
    def test_are_the_keys_and_what_may_hold_a_password(self) -> None:
        assert SECRETS == [
            "GROQ_API_KEY",
            "API_KEYS",
            "JWT_JWKS",
            "CONVERSATION_STORE",
            "MONGODB_URI",
        ]

    def test_of_clients_do_not_print(self) -> None:
        settings = load_settings({"API_KEYS": f"ci:{HASH}"})

        assert settings.api_keys
        assert HASH not in f"{settings!r} {settings}"

    @pytest.mark.parametrize("name", [name for name in SECRETS if name != "API_KEYS"])
    def test_do_not_print(self, name: str) -> None:
        settings = load_settings({name: SECRET})

        assert getattr(settings, name.lower()) == SECRET
        assert SECRET not in repr(settings)
        assert SECRET not in str(settings)
        assert SECRET not in f"{settings!r} {settings} {[settings]}"

    def test_that_are_not_given_may_be_seen_to_be_missing(self) -> None:
        assert "groq_api_key=None" in repr(Settings())

    @pytest.mark.parametrize("name", SECRETS)
    def test_are_not_in_the_error_for_others(self, name: str) -> None:
        assert SECRET not in "".join(faults_of(**{name: SECRET, "PORT": "x"}))


class TestAFile:
    def test_may_hold_any_setting(self, tmp_path: Path) -> None:
        file = tmp_path / "value"
        file.write_text("8001\n", encoding="utf-8")

        assert load_settings({"PORT_FILE": str(file)}) == Settings(port=8001)

    def test_that_is_empty_sets_nothing(self, tmp_path: Path) -> None:
        file = tmp_path / "value"
        file.write_text("\n", encoding="utf-8")

        assert load_settings({f"{name}_FILE": str(file) for name in NAMES}) == Settings()

    def test_goes_before_the_variable(self, tmp_path: Path) -> None:
        file = tmp_path / "key"
        file.write_text(f"{SECRET}\n", encoding="utf-8")

        settings = load_settings({"GROQ_API_KEY": "other", "GROQ_API_KEY_FILE": str(file)})

        assert settings.groq_api_key == SECRET
        assert SECRET not in repr(settings)

    def test_with_a_fault_is_told_as_the_setting_is(self, tmp_path: Path) -> None:
        file = tmp_path / "port"
        file.write_text("x", encoding="utf-8")

        assert faults_of(PORT_FILE=str(file)) == [
            "PORT must be a whole number from 0 to 65535, got 'x'"
        ]

    def test_that_is_not_there_is_one_fault_among_others(self, tmp_path: Path) -> None:
        assert faults_of(GROQ_API_KEY_FILE=str(tmp_path / "none"), HOST_FILE=str(tmp_path)) == [
            "GROQ_API_KEY_FILE cannot be read: No such file or directory",
            "HOST_FILE cannot be read: Is a directory",
        ]

    @pytest.mark.parametrize("name", ["GROQ_API_KEY", "HOST"])
    def test_that_is_no_text_is_refused_without_its_bytes(self, name: str, tmp_path: Path) -> None:
        file = tmp_path / "value"
        file.write_bytes(b"gsk_\xff\xfe")

        assert faults_of(**{f"{name}_FILE": str(file)}) == [
            f"{name} must be UTF-8 text in its file"
        ]
