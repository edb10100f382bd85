"""The articles of a Wikipedia dump, parsed once and kept for later processes; knows nothing of splits.

gensim, which parses them, takes a second to come in: it is imported only where a dump is really read.
"""

from importlib.metadata import version
from itertools import islice
from pathlib import Path

from engine.record.digests import digest
from engine.text.cache import documents_of

PARSER = Path(__file__).parent / "dump.py"


def articles_of(name: str, dump: Path, contents: str, most: int | None = None) -> dict[str, str]:
    """The prose of the first `most` articles of a dump by their titles (None: of all), from the cache where it was parsed before.

    `name` is what they are kept under, `contents` what tells the file's contents from any other's: a hash, or size and time.
    """

    def parse() -> dict[str, str]:
        from engine.text.dump import articles

        return dict(islice(articles(dump), most))

    source = {"dump": contents, "most": most, "parser": digest(PARSER), "gensim": version("gensim")}
    return documents_of(name, source, parse)
