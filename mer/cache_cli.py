"""`mer cache`: look after the shard cache, which lives outside the repository and is shared by all its copies."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from mer.store.location import cache_root, require_cache

app = typer.Typer(help="Look after the cache of decoded clips and features.", no_args_is_help=True)

Root = Annotated[Path | None, typer.Option("--root", help="The cache's folder; by default $MER_CACHE or the user's.")]
MEBIBYTE = 2**20


@app.command("list")
def list_sets(root: Root = None) -> None:
    """What the cache holds: shards, rows, size and last use of each set."""
    from mer.store.upkeep import usage

    root = root or cache_root()
    print(root)
    for one in usage(root):
        used = datetime.fromtimestamp(one.last_used).strftime("%Y-%m-%d %H:%M") if one.shards else "-"
        aside = f"  {one.corrupt} set aside" if one.corrupt else ""
        print(f"{one.name:32} {one.shards:6} shards {one.rows:9} rows {one.bytes / MEBIBYTE:10.1f} MiB  {used}{aside}")


@app.command()
def verify(root: Root = None) -> None:
    """Check every checksum; a corrupt shard is set aside, and the next run redoes what it held."""
    from mer.store.upkeep import verify

    corrupt = unreadable = 0
    for path, fault in verify(root or cache_root()):
        if fault is not None:
            print(f"{path}: {fault.message}")
            corrupt, unreadable = corrupt + fault.corrupt, unreadable + (not fault.corrupt)
    print(f"{corrupt} corrupt shards" + (f", {unreadable} that cannot be read" if unreadable else ""))
    if corrupt or unreadable:
        raise typer.Exit(1)


@app.command()
def prune(
    days: Annotated[float, typer.Option(min=0, help="Remove shards not used for so many days.")] = 90,
    root: Root = None,
) -> None:
    """Remove what has not been used for a while; what is removed and needed again is computed again."""
    from mer.store.upkeep import prune

    sizes = [size for _, size in prune(root or cache_root(), days)]
    print(f"removed {len(sizes)} files, {sum(sizes) / MEBIBYTE:.1f} MiB")


@app.command()
def compact(root: Root = None) -> None:
    """Merge small shards into large ones."""
    from mer.store.upkeep import compact

    root = root or cache_root()
    for folder, before, after in compact(root):
        print(f"{folder.relative_to(root)}: {before} -> {after} shards")


@app.command()
def forget(
    name: Annotated[str | None, typer.Option("--set", help="Of this set alone, such as decode or audio.")] = None,
    error: Annotated[str | None, typer.Option(help="Of this kind alone, such as timed_out.")] = None,
    root: Root = None,
) -> None:
    """Clear remembered failures, so that the clips are tried again."""
    from mer.store.transfer import forget

    root = root or cache_root()
    require_cache(root)
    total = 0
    for one, count in forget(root, name, error):
        total += count
        if count:
            print(f"{one}: {count} forgotten")
    print(f"{total} failures forgotten" + ("; run their stages with `dvc repro --force`" if total else ""))


@app.command("export")
def export_sets(
    folder: Annotated[Path, typer.Argument(help="Where to write: a folder of its own.")],
    names: Annotated[list[str] | None, typer.Option("--set", help="Of these alone; by default decode.")] = None,
    data: Annotated[Path, typer.Option(help="The run whose manifests say what to take.")] = Path("data"),
    root: Root = None,
) -> None:
    """Write what the manifests of this run refer to into a folder, for `mer cache import` on another machine."""
    from mer.store.manifest import read_manifest
    from mer.store.transfer import export_rows

    root = root or cache_root()
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or ["decode"]:
        written, lacking = export_rows(root, read_manifest(data / "manifests" / f"{name}.parquet"), name, folder)
        print(f"{name}: {written} rows" + (f"; {lacking} are not in the cache" if lacking else ""))


@app.command("import")
def import_sets(
    folder: Annotated[Path, typer.Argument(help="What `mer cache export` wrote.")],
    root: Root = None,
) -> None:
    """Take what another machine exported into the cache."""
    from mer.store.transfer import import_rows

    for name, new, known in import_rows(root or cache_root(), folder):
        print(f"{name}: {new} rows, {known} were here already")
