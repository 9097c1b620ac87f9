import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "service").rglob("*.py"))
MOST_LINES = 400


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES: Mapping[str, ast.Module] = {
    name_of(file): ast.parse(file.read_text(encoding="utf-8")) for file in FILES
}
NAMES = sorted(TREES)

CORE_MAY = frozenset(sys.stdlib_module_names) | {"attr", "attrs", "cattrs", "msgspec"}
ADAPTERS = [
    "service.web",
    "service.store",
    "service.runlog",
    "service.groq",
    "service.auth",
    "service.limits",
]
READERS_SHARE = {"service.web.wire", "service.web.problems", "service.web.keys"}
APP_MAY = {"service", "service.core", "service.web", "service.observability"}
JOINING = ["service.__main__", "service.composition"]
JOINED_BY_MAIN = ["service.settings", *(name for name in ADAPTERS if name != "service.web")]
AIOHTTP = ("aiohttp", "aiohttp_cors", "aiohttp_sse")
AIOHTTP_MAY = (
    "service.web",
    "service.app",
    "service.__main__",
    "service.composition",
    "service.simulator",
    "service.observability",
    "service.auth.sources",
)
DRIVERS = ("aiosqlite", "sqlite3", "pymongo", "motor", "redis", "opentelemetry")
DRIVERS_MAY = ("service.store", "service.runlog", "service.observability.otel")
OPTIONAL = {("service.store.open", "open_store"), ("service.observability.tracing", "open_tracing")}


@cache
def imports(name: str) -> set[str]:
    """What a module imports; of the service's own modules the full name."""
    found: set[str] = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"{name} imports relatively"
            assert node.level == 0, f"{name} imports relatively"
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & TREES.keys()
            found |= inner or {node.module}
    return found


def below(name: str, *packages: str) -> bool:
    """Whether a module is one of these, or in one of them."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def outside(name: str) -> set[str]:
    """The packages that a module imports from elsewhere."""
    return {imported.partition(".")[0] for imported in imports(name)} - {"service"}


def inside(name: str) -> set[str]:
    """The service's own modules that a module imports."""
    return {imported for imported in imports(name) if below(imported, "service")}


def modules(*packages: str) -> list[str]:
    return [name for name in NAMES if below(name, *packages)]


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """What runs when a module is imported, to the bodies of its classes."""
    for node in body:
        yield node
        if isinstance(node, ast.ClassDef):
            yield from statements(node.body)


class TestWhoImportsWhom:
    def test_the_core_imports_itself_attrs_cattrs_msgspec_and_what_python_has(self) -> None:
        for name in modules("service.core"):
            assert outside(name) <= CORE_MAY, name
            assert all(below(imported, "service.core") for imported in inside(name)), name

    def test_an_adapter_imports_the_core_and_no_other_adapter(self) -> None:
        for name in modules(*ADAPTERS):
            own = ".".join(name.split(".")[:2])
            assert all(below(imported, own, "service.core") for imported in inside(name)), name

    def test_the_readers_of_a_run_share_only_the_wire(self) -> None:
        sse, ws = [
            {imported for name in modules(reader) for imported in inside(name)}
            for reader in ("service.web.sse", "service.web.ws")
        ]

        assert {name for name in sse & ws if below(name, "service.web")} <= READERS_SHARE
        assert "service.web.ws" not in sse
        assert "service.web.sse" not in ws

    def test_the_library_of_limits_is_imported_only_by_its_adapter(self) -> None:
        importing = [name for name in NAMES if "limits" in outside(name)]

        assert importing
        assert all(below(name, "service.limits") for name in importing), importing

    def test_the_sdk_is_imported_only_by_its_adapter(self) -> None:
        importing = [name for name in NAMES if outside(name) & {"groq", "httpx"}]

        assert importing
        assert all(below(name, "service.groq") for name in importing), importing

    def test_jwts_are_read_only_by_their_adapter(self) -> None:
        importing = [name for name in NAMES if outside(name) & {"jwt", "cryptography"}]

        assert importing
        assert all(below(name, "service.auth") for name in importing), importing

    def test_a_driver_is_imported_in_one_file_or_package_of_its_own(self) -> None:
        for driver in DRIVERS:
            importing = [name for name in NAMES if driver in outside(name)]
            packages = {".".join(name.split(".")[:3]) for name in importing}  # service.store.mongo
            assert len(packages) <= 1, driver
            assert all(below(name, *DRIVERS_MAY) for name in importing), driver

    def test_aiohttp_is_imported_only_where_http_is_spoken(self) -> None:
        importing = [name for name in NAMES if not outside(name).isdisjoint(AIOHTTP)]

        assert all(below(name, *AIOHTTP_MAY) for name in importing), importing

    def test_the_app_joins_core_web_and_observability(self) -> None:
        packages = {".".join(name.split(".")[:2]) for name in inside("service.app")}

        assert packages <= APP_MAY

    def test_only_the_composition_and_main_join_settings_and_adapters(self) -> None:
        for name in NAMES:
            others = [package for package in JOINED_BY_MAIN if not below(name, package)]
            joined = [imported for imported in inside(name) if below(imported, *others)]
            assert name in JOINING or not joined, name

    def test_nobody_imports_main(self) -> None:
        assert [name for name in NAMES if "service.__main__" in imports(name)] == []


class TestAModule:
    def test_imports_nothing_inside_a_function_but_an_optional_driver(self) -> None:
        nested = [
            (name, inner.lineno)
            for name in NAMES
            for outer in ast.walk(TREES[name])
            if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
            if (name, outer.name) not in OPTIONAL
            for inner in ast.walk(outer)
            if isinstance(inner, ast.Import | ast.ImportFrom)
        ]

        assert nested == []

    def test_has_no_global(self) -> None:
        assert [
            (name, node.lineno)
            for name in NAMES
            for node in ast.walk(TREES[name])
            if isinstance(node, ast.Global)
        ] == []

    def test_only_defines_when_it_is_imported(self) -> None:
        assert [
            (name, node.lineno)
            for name in NAMES
            for node in statements(TREES[name].body)
            if runs(node, name)
        ] == []

    def test_begins_with_the_question_that_it_answers(self) -> None:
        assert [name for name in NAMES if not ast.get_docstring(TREES[name])] == []

    def test_can_be_held_in_the_head(self) -> None:
        lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in FILES}

        assert [file for file, lines in lengths.items() if lines > MOST_LINES] == []


def runs(node: ast.stmt, name: str) -> bool:
    """Whether a statement does something, as far as can be seen."""
    match node:
        case ast.Expr(value=value):
            return not isinstance(value, ast.Constant)
        case ast.If(test=test):
            return ast.unparse(test) not in allowed_conditions(name)
        case _:
            return isinstance(node, ast.For | ast.While | ast.With | ast.Try)


def allowed_conditions(name: str) -> set[str]:
    return {"TYPE_CHECKING"} | ({"__name__ == '__main__'"} if name == "service.__main__" else set())


IMPORT_ALL_WATCHED = """
import importlib, sys, threading
names = sys.argv[1:]
for name in names:  # what others do when they are imported is theirs
    importlib.import_module(name)
for name in names:
    del sys.modules[name]
WATCHED = {"open", "os.mkdir", "os.remove", "subprocess.Popen", "os.posix_spawn", "os.fork"}
def watch(event, arguments):
    harmless = event == "open" and str(arguments[0]).endswith((".py", ".pyc"))
    if event in WATCHED and not harmless or event.startswith(("socket.", "sqlite3.")):
        sys.exit(f"{event} {arguments} while modules are imported")
sys.addaudithook(watch)
for name in names:
    importlib.import_module(name)
if threading.active_count() > 1:
    sys.exit("a thread was started")
"""


def test_importing_opens_no_file_no_socket_and_no_thread() -> None:
    done = subprocess.run(
        [sys.executable, "-B", "-c", IMPORT_ALL_WATCHED, *NAMES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
