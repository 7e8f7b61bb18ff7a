"""Stage link_views: links to the files that each view is made from, into data/view_links; see mer.links."""

from mer.links import forget_views, link_views
from mer.params import Params
from mer.running.stage import run


def main(params: Params) -> None:
    link_views(params)
    forget_views(params)


if __name__ == "__main__":
    run(main)
