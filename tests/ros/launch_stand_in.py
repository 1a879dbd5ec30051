"""Runs a launch file without ROS 2's launch packages, which are no wheels: it goes through the file's own description
with the given arguments, and keeps the nodes that launch would start. Each becomes a command line as launch_ros makes it.
"""

import contextlib
import json
import os
import runpy
import sys
import types
from pathlib import Path

from cooper_process import PREFIX, ROOT

SHARE = PREFIX / "share" / "cooper_perception"


class Argument:
    def __init__(self, name, default_value=None, description=""):
        self.name, self.default = name, default_value


class Configuration:
    def __init__(self, name):
        self.name = name

    def perform(self, context):
        return context[self.name]


class Expression:
    def __init__(self, parts):
        self.parts = parts

    def perform(self, context):
        return str(eval("".join(performed(part, context) for part in self.parts)))  # noqa: S307 (that is what it is)


class Environment:
    def __init__(self, name, default_value):
        self.name, self.default = name, default_value

    def perform(self, context):
        return os.environ.get(self.name, self.default)


class SetEnvironment:
    def __init__(self, name, value):
        self.name, self.value = name, value


class Function:
    def __init__(self, function):
        self.function = function


class Source:
    def __init__(self, path):
        self.path = path


class Include:
    def __init__(self, source):
        self.source = source


class Description:
    def __init__(self, entities):
        self.entities = entities


def performed(value, context):
    return value.perform(context) if hasattr(value, "perform") else value


class Node:
    """A node that would be started, and its command line."""

    def __init__(self, package, executable, name, namespace="", parameters=(), remappings=(), arguments=(), **_):
        self.package, self.executable, self.name, self.namespace = package, executable, name, namespace
        self.parameters, self.remappings, self.arguments = parameters, remappings, arguments
        self.context, self.environment = {}, {}

    def ros_arguments(self):
        """What follows --ros-args."""
        of = lambda value: performed(value, self.context)
        given = ["-r", f"__node:={self.name}"]
        if namespace := of(self.namespace).strip("/"):
            given += ["-r", f"__ns:=/{namespace}"]
        for entry in self.parameters:
            if isinstance(entry, dict):
                for name, value in entry.items():
                    # launch_ros reads a substitution's words as YAML.
                    text = of(value).lower() if hasattr(value, "perform") else json.dumps(value)
                    given += ["-p", f"{name}:={text}"]
            else:
                given += ["--params-file", str(entry)]
        for name, other in self.remappings:
            given += ["-r", f"{name}:={other}"]
        return given

    def plain_arguments(self):
        return [performed(argument, self.context) for argument in self.arguments]


MODULES = {
    "launch": {"LaunchDescription": Description},
    "launch.actions": {
        "DeclareLaunchArgument": Argument, "OpaqueFunction": Function, "IncludeLaunchDescription": Include,
        "SetEnvironmentVariable": SetEnvironment,
    },
    "launch.substitutions": {"LaunchConfiguration": Configuration, "PythonExpression": Expression, "EnvironmentVariable": Environment},
    "launch.launch_description_sources": {"PythonLaunchDescriptionSource": Source},
    "launch_ros": {},
    "launch_ros.actions": {"Node": Node},
    "ament_index_python": {},
    "ament_index_python.packages": {"get_package_share_directory": lambda package: str(SHARE)},
}


@contextlib.contextmanager
def stand_ins():
    """Our classes under the names of launch's."""
    before = {name: sys.modules.get(name) for name in MODULES}
    for name, members in MODULES.items():
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(members)
    yield
    for name, module in before.items():
        sys.modules.pop(name)
        if module is not None:
            sys.modules[name] = module


def nodes_of(path, **arguments):
    """The nodes that `ros2 launch PATH name:=value ...` would start."""
    context, environment, found = dict(arguments), {}, []

    def visit(entity):
        if isinstance(entity, Argument):
            if entity.name not in context:
                assert entity.default is not None, f"launch: expected a value for {entity.name}, got none"
                context[entity.name] = entity.default
        elif isinstance(entity, Function):
            for made in entity.function(context):
                visit(made)
        elif isinstance(entity, SetEnvironment):
            environment[entity.name] = entity.value.perform(context)
        elif isinstance(entity, Include):
            describe(entity.source.path)
        else:
            entity.context, entity.environment = dict(context), dict(environment)
            found.append(entity)

    def describe(file):
        for entity in runpy.run_path(str(file))["generate_launch_description"]().entities:
            visit(entity)

    with stand_ins():
        describe(Path(path))
    return {node.executable: node for node in found}
