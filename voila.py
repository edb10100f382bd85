"""How the page is served, where plain values (voila.json) do not reach; knows nothing of what is on the page.

Voilà reads this file and voila.json from the folder it is started in. Start it as `voila dashboard.ipynb`: under
`python -m voila` this file would be imported in place of the package of the same name.
"""

import os
from pathlib import Path

from jupyter_server._tz import utcnow
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado.web import HTTPError

THEMES = ("light", "dark")

# Our template lies beside this file, and `voila dashboard.ipynb` finds it without being told.
_paths = [str(Path(__file__).parent / "share" / "jupyter"), os.environ.get("JUPYTER_PATH")]
os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, _paths))
# A kernel named python3 in the user's own folder belongs to another Python, which has none of our packages.
os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")


def before_page(request, notebook, cwd):
    """Check the address and hand out the cookie without which a closing page cannot end its kernel.

    The page's last word is a POST that Jupyter refuses without the `_xsrf` cookie, and Voilà never sets it by itself:
    every page ever opened would leave its kernel behind. Reading `xsrf_token` sets the cookie.
    """
    theme = request.get_argument("theme", "light")
    if theme not in THEMES:  # it is written into the page, so nothing but our two words may pass
        raise HTTPError(400, "theme is light or dark")
    _ = request.xsrf_token
    return notebook


class PageConnection(ZMQChannelsWebsocketConnection):
    """Tells its kernel of every page that really came, until it has left.

    Jupyter's own number of connections goes down for a page that was closed while it still shook hands, though it never
    went up: at -1 the kernel was taken for connected until the server ended, and at 0 a page that came later for gone.
    """

    def connect(self):
        """The page has shaken hands."""
        self.kernel_manager.pages = pages_of(self.kernel_manager) | {self}
        return super().connect()

    def disconnect(self):
        """The page has left, or never came."""
        self.kernel_manager.pages = pages_of(self.kernel_manager) - {self}
        super().disconnect()


class PageKernels(AsyncMappingKernelManager):
    """Ends a kernel that has been without a page for `cull_idle_timeout` seconds, whatever it is doing.

    Jupyter counts a kernel's own messages as activity. A page whose browser crashed while a recovery runs would keep its
    kernel as long as the kernel draws, for nobody. Only a page that is there counts here, which is why voila.json has
    `cull_connected`: Jupyter is not to count as well. The run itself lives in its worker.
    """

    async def cull_kernel_if_idle(self, kernel_id):
        """Look at one kernel; called every `cull_interval` seconds."""
        kernel = self.get_kernel(kernel_id)
        # Its first look counts too: a page may come and go between two looks.
        kernel.attended = utcnow() if pages_of(kernel) else getattr(kernel, "attended", utcnow())
        kernel.last_activity = kernel.attended
        await super().cull_kernel_if_idle(kernel_id)


def pages_of(kernel):
    """The connections of the pages that are with this kernel now."""
    return getattr(kernel, "pages", frozenset())


c = get_config()  # noqa: F821 - the name that traitlets gives to every configuration file
c.VoilaConfiguration.prelaunch_hook = before_page
c.VoilaConfiguration.multi_kernel_manager_class = PageKernels
c.Voila.kernel_websocket_connection_class = PageConnection
