"""Finds, in source text, what makes the host wait for the device: values read from tensors where a step is computed.

An approximation by data flow inside one function: a name is a *tensor* if its annotation says so or if it was computed from
one; it is a *flag tensor* if it came out of a comparison of tensors. Shapes, devices and lengths are host values.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

# Not part of a step: run once when a method is built, or when its state is saved.
ONCE = {"__init__", "__post_init__", "get_extra_state", "set_extra_state", "extra_repr"}
READS = {"item", "cpu", "tolist", "numpy", "nonzero", "argwhere", "masked_select", "unique", "unique_consecutive"}
HOST_FACTS = {
    "shape", "ndim", "device", "dtype", "dim", "size", "numel", "type", "is_floating_point", "grid", "requires_grad",
}  # fmt: skip
TENSOR_TYPES = ("Tensor", "Float[", "Int[", "Bool[", "Tokens", "Batch", "Split", "Losses")
TENSOR_MODULES = {"torch", "F", "functional"}
HOST_CALLS = {"len", "range", "isinstance", "hasattr", "math", "type", "print", "repr", "str", "uniform"}
HOST_MODULE_CALLS = {"torch.device", "torch.finfo", "torch.iinfo", "torch.Generator", "torch.is_grad_enabled"}

# (file, function) → why its reads are no wait for the device.
ALLOWED = {
    (
        "backbones.py",
        "Timm.tokens",
    ): "two numbers of the host, for timm models only; mended when all rows are run again",
    ("masking.py", "uniform"): "drawn from the generator of the host",
    ("masking.py", "SharedBlocks.forward"): "drawn from the generator of the host",
    ("masking.py", "Runs.carve"): "asks on the CPU only, to stop early",
    ("paper_masks.py", "PaperBlocks.blocks"): "the released sampler is drawn on the host as a whole",
    ("paper_masks.py", "PaperBlocks.forward"): "the released sampler is drawn on the host as a whole",
    ("spheres.py", "ChannelBlocks.forward"): "drawn from the generator of the host",
    ("tubes.py", "PaperMultiBlocks.forward"): "the released sampler is drawn on the host as a whole",
    ("video_masks.py", "kept"): "done when a method is built",
    ("video_masks.py", "VideoBlocks.forward"): "drawn from the generator of the host",
    ("tangent.py", "Tangent.covariances"): "a reference row that takes no step, computed by pyriemann on the host",
    ("tangent.py", "Tangent.embed"): "a reference row that takes no step, computed by pyriemann on the host",
    ("types.py", "Data.fingerprint"): "done when data are loaded",
    ("supervised.py", "fraction"): "done when data are loaded",
}


@dataclass(frozen=True)
class Wait:
    """One place that waits: function (dotted inside the file), line, its source text."""

    function: str
    line: int
    text: str


class _Function:
    """The data flow of one function."""

    def __init__(self, name: str, node: ast.FunctionDef, makers: frozenset[str]) -> None:
        """``makers``: functions and methods of the file that are annotated to return tensors."""
        self.name, self.node, self.makers = name, node, makers
        self.tensors: set[str] = set()
        self.flags: set[str] = set()
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        for argument in arguments:
            said = ast.unparse(argument.annotation) if argument.annotation else ""
            # "Bool[Tensor, 'b n']" is one, "Callable[[Tensor], Tensor]" and "tuple[int, ...]" are not.
            if said.removesuffix(" | None").startswith(TENSOR_TYPES):
                self.tensors.add(argument.arg)
            if said.startswith("Bool["):
                self.flags.add(argument.arg)
        for _ in range(4):  # names may be used in a loop before the line that computes them
            for inner in ast.walk(node):
                if isinstance(inner, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.NamedExpr) and inner.value:
                    targets = inner.targets if isinstance(inner, ast.Assign) else [inner.target]
                    for target in targets:
                        self._assign(target, inner.value)
                elif isinstance(inner, ast.For | ast.comprehension):
                    self._assign(inner.target, inner.iter)

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for one, its in zip(target.elts, value.elts):
                self._assign(one, its)
            return
        for name in (node.id for node in ast.walk(target) if isinstance(node, ast.Name)):
            if self.tensor(value):
                self.tensors.add(name)
            if self.flag(value):
                self.flags.add(name)

    def tensor(self, node: ast.expr) -> bool:
        """Whether the value of the expression is (or holds) a tensor."""
        if isinstance(node, ast.Name):
            return node.id in self.tensors
        if isinstance(node, ast.Attribute):
            return node.attr not in HOST_FACTS and self.tensor(node.value)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            head = called.split(".")[0]
            if called in HOST_MODULE_CALLS or head in HOST_CALLS or called.split(".")[-1] in HOST_FACTS:
                return False
            if called.removeprefix("self.") in self.makers:
                return True
            if head in TENSOR_MODULES or (isinstance(node.func, ast.Attribute) and self.tensor(node.func.value)):
                return called.split(".")[-1] not in READS and called not in {"float", "int", "bool"}
            return called not in {"float", "int", "bool"} and any(self.tensor(a) for a in node.args)
        if isinstance(node, ast.Subscript):
            return self.tensor(node.value)
        if isinstance(node, ast.Compare):
            if any(isinstance(op, ast.Is | ast.IsNot | ast.In | ast.NotIn) for op in node.ops):
                return False
            return any(self.tensor(one) for one in (node.left, *node.comparators))
        if isinstance(node, ast.IfExp):
            return self.tensor(node.body) or self.tensor(node.orelse)
        children = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
        return any(self.tensor(child) for child in children)

    def flag(self, node: ast.expr) -> bool:
        """Whether the value is a tensor of True and False."""
        if isinstance(node, ast.Name):
            return node.id in self.flags
        if isinstance(node, ast.Compare):
            return self.tensor(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert):
            return self.tensor(node.operand)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.BitOr | ast.BitXor):
            return self.flag(node.left) or self.flag(node.right)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            return node.func.attr in {"isnan", "isfinite", "isinf", "bool", "logical_and", "logical_or", "logical_not"}
        return False

    def waits(self) -> list[Wait]:
        """Every place in the function that waits for the device."""
        found: dict[tuple[int, str], Wait] = {}

        def say(node: ast.expr) -> None:
            text = ast.unparse(node)
            found[node.lineno, text] = Wait(self.name, node.lineno, text)

        for node in ast.walk(self.node):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                last = called.split(".")[-1]
                reads = (
                    isinstance(node.func, ast.Attribute) and last in READS,
                    called in {"float", "int", "bool", "complex"} and any(self.tensor(a) for a in node.args),
                    called == "torch.where" and len(node.args) == 1,
                    last == "to" and any(isinstance(a, ast.Constant) and a.value == "cpu" for a in node.args),
                    called in {"torch.tensor", "torch.as_tensor"} and any(k.arg == "device" for k in node.keywords),
                )
                if any(reads):
                    say(node)
            elif isinstance(node, ast.Subscript):
                parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
                if self.tensor(node.value) and any(self.flag(part) for part in parts):
                    say(node)
            tests: list[ast.expr] = []
            if isinstance(node, ast.If | ast.While | ast.IfExp | ast.Assert):
                tests = [node.test]
            elif isinstance(node, ast.BoolOp):
                tests = node.values
            elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
                tests = [node.operand]
            for test in tests:
                if not isinstance(test, ast.BoolOp) and self.tensor(test):
                    say(test)
        return list(found.values())


def waits(source: str) -> list[Wait]:
    """What waits in the functions of ``source`` that belong to a step; recipes (decorated) and ONCE are left out."""
    found: list[Wait] = []
    tree = ast.parse(source)
    makers = frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and node.returns
        and ast.unparse(node.returns).removeprefix("tuple[").startswith(TENSOR_TYPES)
    )

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.FunctionDef) and node.name not in ONCE:
                if any("register(" in ast.unparse(decorator) for decorator in node.decorator_list):
                    continue
                found.extend(_Function(f"{prefix}{node.name}", node, makers).waits())

    visit(tree.body, "")
    return found
