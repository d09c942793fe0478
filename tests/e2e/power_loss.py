"""What a disk may hold after the power is lost: replays the log of tests/faults/fault_shim.c on a model of a file system
that promises no more than POSIX does. Data that was not synced is there, or is not; a change of a folder that was not
synced is there or not, each by itself; what was synced is there."""
import dataclasses


@dataclasses.dataclass
class File:
    content: bytes = b""      # as a running program sees it
    durable: bytes = b""      # as of the last fsync


@dataclasses.dataclass
class Change:
    """One change of folders: `steps` are (folder, name, node or None) assignments, applied together."""
    steps: list
    requires: tuple           # (folder, name, node) that must be there, or the change has no meaning
    synced: set = dataclasses.field(default_factory=set)
    folders: tuple = ()

    def durable(self):
        return all(folder in self.synced for folder in self.folders)


class Disk:
    """The tree below `root`, from its start through the log's lines. Nodes are numbers; folders[node] = {name: node}."""

    def __init__(self, root, tree):
        self.root, self.files, self.folders, self.changes, self.nodes = str(root), {}, {}, [], 0
        self.live = {}
        self.top = self._folder()
        for path, content in tree.items():
            node = self.top
            *parents, name = path.split("/")
            for parent in parents:
                if parent not in self.folders[node]:
                    self.folders[node][parent] = self._folder()
                node = self.folders[node][parent]
            self.folders[node][name] = self._file(File(content, content))
        self.start = {node: dict(names) for node, names in self.folders.items()}

    def _folder(self):
        self.nodes += 1
        self.folders[self.nodes] = {}
        return self.nodes

    def _file(self, file):
        self.nodes += 1
        self.files[self.nodes] = file
        return self.nodes

    def _find(self, path):
        """(folder, name, node or None) of an absolute path, or None outside the root."""
        if not path.startswith(self.root + "/"):
            return None
        *parents, name = path[len(self.root) + 1:].split("/")
        node = self.top
        for parent in parents:
            node = self.folders[node][parent]
        return node, name, self.folders[node].get(name)

    def _change(self, steps, requires=()):
        for folder, name, node in steps:
            if node is None:
                self.folders[folder].pop(name, None)
            else:
                self.folders[folder][name] = node
        self.changes.append(Change(steps, requires, folders=tuple(sorted({folder for folder, _, _ in steps}))))

    def apply(self, line, data):
        """One line of the log. False if it is about something outside the root."""
        kind, *fields = line.rstrip("\n").split("\t")
        path = fields[0] if kind in ("mkdir", "unlink", "rename", "exchange") else fields[1]
        if path == self.root:
            place = (None, None, self.top)
        else:
            place = self._find(path.removesuffix(" (deleted)"))
        if place is None:
            return False
        folder, name, node = place
        if kind == "mkdir":
            child = self._folder()
            self.start[child] = {}
            self._change([(folder, name, child)])
        elif kind == "create":
            self._change([(folder, name, self._file(File()))])
        elif kind == "unlink":
            self._change([(folder, name, None)])
        elif kind in ("rename", "exchange"):
            to_folder, to_name, other = self._find(fields[1])
            left = other if kind == "exchange" else None
            self._change([(folder, name, left), (to_folder, to_name, node)], ((folder, name, node),))
        elif kind == "write":
            offset, count, at = map(int, fields[2:5])
            file = self.files[node]
            file.content = file.content[:offset].ljust(offset, b"\0") + data[at:at + count] + file.content[offset + count:]
        elif kind == "truncate":
            self.files[node].content = self.files[node].content[:int(fields[2])]
        elif kind == "fsync":
            if node in self.files:
                self.files[node].durable = self.files[node].content
            for change in self.changes:
                if node in change.folders:
                    change.synced.add(node)
        else:
            raise ValueError(line)
        return True

    def _tree(self, kept, durable_only):
        folders = {node: dict(names) for node, names in self.start.items()}
        for index, change in enumerate(self.changes):
            if not change.durable() and index not in kept:
                continue
            if any(folders[folder].get(name) != node for folder, name, node in change.requires):
                continue
            for folder, name, node in change.steps:
                if node is None:
                    folders[folder].pop(name, None)
                else:
                    folders[folder][name] = node
        out = {}

        def walk(node, prefix):
            for name, child in folders[node].items():
                if child in self.files:
                    file = self.files[child]
                    out[prefix + name] = file.durable if durable_only else file.content
                else:
                    out[prefix + name + "/"] = None
                    walk(child, prefix + name + "/")
        walk(self.top, "")
        return out

    def after_power_loss(self):
        """Trees ({path: content, or None for a folder}) that may be found if the power goes now: of the changes not yet
        synced none, all, all but one, or one alone; of the data not yet synced all or nothing."""
        pending = [index for index, change in enumerate(self.changes) if not change.durable()]
        choices = [set(), set(pending)]
        for index in pending:
            choices += [set(pending) - {index}, {index}]
        for kept in choices:
            for durable_only in (True, False):
                yield self._tree(kept, durable_only)
