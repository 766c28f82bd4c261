"""Names in a pickle that no model needs, and through which loading one can run anything.

A list of what is known can't be complete: another library may have a function that does harm. It stops what is made
with the usual tools, and what somebody saved by mistake. Who must be sure loads tensors only.
"""

from collections.abc import Collection

from fl_server_core.archive.archive import Archive


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FILES = _words(
    # The system and processes
    "os posix nt ntpath posixpath subprocess _posixsubprocess sys shutil pty fcntl signal resource _ctypes mmap "
    "tempfile fileinput _io threading _thread sched atexit faulthandler gc commands popen2 winreg _winreg msvcrt "
    # Code, and what runs or imports it
    "code codeop runpy _frozen_importlib _frozen_importlib_external imp pkgutil zipimport zipapp timeit trace "
    "profile cProfile pdb bdb doctest pydoc ast dis site sitecustomize _distutils_hack "
    # What unpickles once more
    "pickle _pickle cPickle marshal shelve "
    # The network
    "socket _socket ssl _ssl socketserver select selectors ftplib smtplib poplib imaplib telnetlib nntplib "
    "webbrowser antigravity"
)
"""Python's own modules that are single files. A package of the same name is somebody's own: `code.models.Net`."""

_PACKAGES = _words(
    "ctypes cffi multiprocessing concurrent asyncio importlib unittest idlelib lib2to3 venv ensurepip pip "
    "setuptools distutils pkg_resources dill cloudpickle joblib dbm jsonpickle yaml http urllib xmlrpc requests "
    "httpx aiohttp paramiko fabric pandas.io django celery fl_server fl_server_core fl_server_ai fl_server_api "
    # Parts of torch and numpy that load files, compile or run code
    "torch.hub torch.package torch._package torch.ops torch.classes torch.multiprocessing torch.distributed.rpc "
    "torch.distributed.run torch.distributed.launch torch.distributed.elastic torch.utils.cpp_extension "
    "torch.utils.model_zoo torch.utils.collect_env torch.utils.bottleneck torch.utils.data.datapipes "
    "torch.utils._config_module torch.utils.benchmark torch.utils.show_pickle torch.fx.graph_module "
    "torch.fx.experimental torch._inductor torch._dynamo.guards torch.jit._script torch.jit._serialization "
    "torch.jit.unsupported_tensor_ops torch.jit.frontend torch.testing numpy.testing numpy.distutils numpy.f2py "
    "numpy.ctypeslib numpy.lib.npyio numpy.lib._npyio_impl"
)
"""No name of these may be used, nor any of the modules in them. A torch.fx.GraphModule is source code in a pickle."""

_BUILTINS = _words(
    "eval exec execfile compile __import__ open file input raw_input breakpoint globals locals vars dir setattr "
    "delattr hasattr apply reload memoryview exit quit help license copyright credits __build_class__ __loader__ "
    "__spec__"
)
"""getattr is looked at call by call: torch writes it for functions such as torch.relu."""

_NAMES = _words(
    "io.open io.open_code io.FileIO pandas.read_pickle torch.serialization.load torch.serialization._load "
    "torch.serialization._legacy_load torch.load torch.save torch.from_file torch.compile torch.jit.load "
    "torch.jit.save torch.storage._load_from_bytes torch._C._jit_compile torch._C.import_ir_module "
    "torch._C.import_ir_module_from_buffer torch._C.PyTorchFileReader torch._C.PyTorchFileWriter numpy.load "
    "numpy.loads numpy.save numpy.savez numpy.fromfile numpy.memmap numpy.loadtxt numpy.genfromtxt "
    "operator.attrgetter operator.methodcaller _operator.attrgetter _operator.methodcaller types.FunctionType "
    "types.LambdaType types.CodeType types.ModuleType codecs.open logging.FileHandler logging.config.listen "
    "logging.config.fileConfig logging.config.dictConfig zipfile.ZipFile tarfile.open tarfile.TarFile"
)

_LAST_NAMES = _words(
    "os sys posix nt subprocess builtins importlib pickle marshal ctypes runpy socket shutil __builtins__ "
    "__import__ import_module eval exec execfile system popen Popen check_output check_call getoutput "
    "getstatusoutput run_path run_module run_code runcode runstring spawnl spawnv execv execve execvp posix_spawn "
    "fork"
)
"""Whatever module is asked for them: many have imported these, and lend them."""

_LEADING_ON = _words(
    "__globals__ __builtins__ __dict__ __class__ __base__ __bases__ __mro__ __subclasses__ __getattribute__ "
    "__getattr__ __self__ __func__ __wrapped__ __code__ __closure__ __loader__ __spec__ __module__ __reduce__ "
    "__reduce_ex__ __setstate__ __import__ __init_subclass__ func_globals gi_frame cr_frame f_globals f_builtins "
    "tb_frame"
)
"""Attributes through which one gets from anything to everything."""


def dangerous_globals(archive: Archive) -> list[str]:
    """The names in the file's pickles that are known to let whoever loads it run anything, sorted.

    "module.name", "module:Outer.Inner", or "builtins.getattr(owner, attribute)". All pickles of a TorchScript file are
    looked at, although torch.jit.load imports none of their names. What is in no list may still be harmful.

    Raises ArchiveError if one of a TorchScript file's other pickles can't be read.
    """
    names, calls = archive.names_of_all_pickles()
    found = {name for name in names if _is_dangerous(name)}
    found |= {f"builtins.getattr({owner}, {attribute})" for owner, attribute in calls if _leads_on(owner, attribute)}
    return sorted(found)


def _is_dangerous(name: str) -> bool:
    module, parts = _split(name)
    if module in ("builtins", "__builtin__"):
        return parts[0] in _BUILTINS or len(parts) > 1
    if module in _FILES or _is_in(module, _PACKAGES) or name in _NAMES:
        return True
    return any(_is_suspicious(part) for part in parts)


def _leads_on(owner: str, attribute: str) -> bool:
    """Is this use of getattr more than a harmless one? With an attribute that can't be told ("?"), nobody knows.

    A module's own method `eval` is harmless: the function of that name would be reached through its owner's name.
    """
    if attribute == "?":
        return True
    return (_is_suspicious(attribute) and attribute != "eval") or f"{owner}.{attribute}" in _NAMES


def _is_suspicious(part: str) -> bool:
    return part in _LAST_NAMES or part in _LEADING_ON


def _split(name: str) -> tuple[str, list[str]]:
    module, colon, path = name.partition(":")
    if colon:
        return module, path.split(".")
    module, _, last = name.rpartition(".")
    return module, [last]


def _is_in(module: str, modules: Collection[str]) -> bool:
    parts = module.split(".")
    return any(".".join(parts[:count]) in modules for count in range(1, len(parts) + 1))
