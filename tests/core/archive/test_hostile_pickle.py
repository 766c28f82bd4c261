"""Pickles that were made to do harm, or were damaged: each is refused with a sentence for its sender."""

import struct

import pytest
from torch import nn

from fl_server_core.archive import open_archive
from tests.builders.files import saved, scripted
from tests.core.archive.files import read_record, records_of, with_pickle, with_record
from tests.core.archive.refusals import refusal


def nested(depth: int, finish: bytes) -> bytes:
    return with_pickle(b"\x80\x02}" + b")" + b"\x85" * depth + finish)


TENSOR = (
    b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000"
    b"X\x03\x00\x00\x00cpuK\x04tQ%b%b%b\x89ccollections\nOrderedDict\n)RtR"
)


def tensor_pickle(offset: bytes = b"K\x00", shape: bytes = b"K\x04\x85", strides: bytes = b"K\x01\x85") -> bytes:
    return with_pickle(b"\x80\x02" + TENSOR % (offset, shape, strides) + b".", _0=b"\0" * 16)


def number(value: int) -> bytes:
    return b"\x8a\x10" + value.to_bytes(16, "little", signed=True)


class TestPickle:
    def test_the_honest_pickle_that_the_hostile_ones_vary_is_read(self) -> None:
        assert open_archive(tensor_pickle()).array("").tolist() == [0, 0, 0, 0]

    def test_nothing_is_called_or_allocated(self) -> None:
        size = number(4 << 30)
        assert "no torch.nn.Module" in refusal(with_pickle(b"\x80\x02c__builtin__\nbytearray\n" + size + b"\x85R."))
        assert "no torch.nn.Module" in refusal(with_pickle(b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R."))

    def test_300000_nested_tuples_are_refused(self) -> None:
        for finish in (b".", b"K\x01s.", b"\x85R.", b"0."):
            assert "nested too deeply" in refusal(nested(300_000, finish))

    @pytest.mark.parametrize(
        "level",
        [b"\x85", b"q\x000]h\x00a", b"q\x000}X\x01\x00\x00\x00ah\x00s", b"cm\nn\n)\x81\x86", b"cm\nn\n\x85R\x85"],
        ids=["tuples", "lists", "dicts", "objects", "calls"],
    )
    def test_nothing_nests_too_deeply(self, level: bytes) -> None:
        assert "nested too deeply" in refusal(with_pickle(b"\x80\x02)" + level * 20_000 + b"."))

    def test_a_list_that_holds_itself_over_and_over_is_refused(self) -> None:
        assert "nested too deeply" in refusal(with_pickle(b"\x80\x02]q\x00" + b"h\x00a" * 5_000 + b"."))

    def test_too_many_instructions_are_refused(self) -> None:
        assert "too many instructions" in refusal(with_pickle(b"\x80\x02" + b"N0" * 300_000 + b"N."))

    def test_a_memo_that_doubles_again_and_again_costs_nothing(self) -> None:
        levels = b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(200))
        refusal(with_pickle(b"\x80\x02)q\x00" + levels + b"."))

    def test_a_list_that_is_made_a_set_again_and_again_costs_nothing(self) -> None:
        content = b"\x80\x02](" + b"N" * 200_000 + b"eq\x000(" + b"c__builtin__\nset\nh\x00\x85R" * 70_000 + b"t."
        refusal(with_pickle(content))

    def test_long_names_again_and_again_cost_nothing(self) -> None:
        text = b"X" + struct.pack("<I", 1 << 24) + b"a" * (1 << 24) + b"q\x00"
        refusal(with_pickle(b"\x80\x04" + text + b"h\x00\x93" * 100_000 + b"."))

    @pytest.mark.parametrize(
        "opcodes",
        [
            b"",
            b".",
            b"N",
            b"NN.",
            b"(N.",
            b"N(.",
            b"0.",
            b"t.",
            b"h\x05.",
            b"j\x05\x00\x00\x00.",
            b"\x85.",
            b"a.",
            b"Na.",
            b"]N)s.",
            b"}(Nu.",
            b")R.",
            b"N)R0.",
            b"NNR.",
            b"NNb.",
            b"X\xff\xff\xff\xffabc.",
            b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc.",
            b"X\x01\x00\x00\x00\xff.",
            b"cmodule",
            b"cmodule\nname",
            b"c\xff\n\xff\n.",
            b"NN\x93.",
            b"NQ.",
            b")Q.",
            b"\x80\x09N.",
            b"I5\n.",
            b"(imodule\nname\n.",
            b"\x82\x01.",
            b"\x97.",
            b"P0\n.",
            b"\x8b\x01\x00\x00\x00\x01.",
            b"N.extra",
            b"G\x00.",
        ],
    )
    def test_what_no_pickler_writes_is_refused(self, opcodes: bytes) -> None:
        refusal(with_pickle(b"\x80\x02" + opcodes))

    @pytest.mark.parametrize("target", [b"cm\nn\n", b"c__builtin__\ngetattr\ncm\nn\nX\x01\x00\x00\x00x\x86R"])
    def test_a_pickle_that_gives_a_class_or_function_a_state_is_refused(self, target: bytes) -> None:
        assert "well-formed" in refusal(with_pickle(b"\x80\x02" + target + b"}b."))

    def test_an_object_with_two_states_is_refused(self) -> None:
        assert "well-formed" in refusal(with_pickle(b"\x80\x02cm\nn\n)\x81}b}b."))

    @pytest.mark.parametrize(
        "content",
        [
            tensor_pickle(offset=b"K\x01"),
            tensor_pickle(offset=number(-1)),
            tensor_pickle(offset=number(1 << 100)),
            tensor_pickle(offset=b"N"),
            tensor_pickle(offset=b"\x88"),
            tensor_pickle(shape=b"K\x05\x85"),
            tensor_pickle(shape=number(-4) + b"\x85"),
            tensor_pickle(shape=number(1 << 62) + b"\x85", strides=b"K\x00\x85"),
            tensor_pickle(shape=number(1 << 39) + number(1 << 39) + b"\x86", strides=b"K\x00K\x00\x86"),
            tensor_pickle(shape=number(1 << 39) + b"K\x00" + number(1 << 39) + b"\x87", strides=b"K\x01K\x01K\x01\x87"),
            tensor_pickle(shape=b"K\x02K\x02\x86"),
            tensor_pickle(shape=b"(" + b"K\x01" * 40 + b"t", strides=b"(" + b"K\x01" * 40 + b"t"),
            tensor_pickle(shape=b"]", strides=b"]"),
            tensor_pickle(strides=b"K\x02\x85"),
            tensor_pickle(strides=number(1 << 62) + b"\x85"),
            tensor_pickle(strides=number(-1) + b"\x85"),
        ],
    )
    def test_a_tensor_that_cannot_be_is_refused(self, content: bytes) -> None:
        assert "describes a tensor" in refusal(content)

    def test_a_small_file_that_stands_for_a_huge_tensor_is_refused(self) -> None:
        content = tensor_pickle(shape=number(1 << 30) + b"\x85", strides=b"K\x00\x85")
        assert "far larger than the file" in refusal(content)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b"FloatStorage", b"EvilStorage"),
            (b"storagectorch", b"moduleXctorch"),
            (b"X\x01\x00\x00\x000", b"X\x03\x00\x00\x00../"),
            (b"X\x01\x00\x00\x000", b"X\x01\x00\x00\x001"),
            (b"K\x04tQ", b"K\x05tQ"),
            (b"K\x04tQ", b"NtQ"),
        ],
    )
    def test_a_storage_that_cannot_be_is_refused(self, old: bytes, new: bytes) -> None:
        pickle = read_record(tensor_pickle(), "data.pkl")
        assert old in pickle
        refusal(with_pickle(pickle.replace(old, new), _0=b"\0" * 16))

    def test_one_storage_described_in_two_ways_is_refused(self) -> None:
        one = TENSOR % (b"K\x00", b"K\x02\x85", b"K\x01\x85")
        other = one.replace(b"FloatStorage", b"IntStorage")
        assert "in two ways" in refusal(with_pickle(b"\x80\x02" + one + other + b"\x86.", _0=b"\0" * 16))

    def test_a_storage_of_another_size_than_its_record_is_refused(self) -> None:
        pickle = read_record(tensor_pickle(), "data.pkl")
        for size in (0, 12, 20):
            assert "does not have the described size" in refusal(with_pickle(pickle, _0=b"\0" * size))

    def test_an_attribute_name_with_a_dot_is_refused(self) -> None:
        content = with_record(saved(nn.Linear(1, 1)), "data.pkl", lambda pickle: pickle.replace(b"weight", b"w.ight"))
        assert "invalid name 'w.ight'" in refusal(content)

    def test_a_script_whose_code_does_not_fit_its_tensors_is_refused(self) -> None:
        content = scripted(nn.Linear(2, 3))
        code = next(name for name, code in records_of(content).items() if b'["weight", "bias", ]' in code)
        name = code.removeprefix("archive/")
        sentence = refusal(with_record(content, name, lambda code: code.replace(b'["weight"', b'["wright"')))
        assert "'wright' of the TorchScript code is missing" in sentence
        sentence = refusal(with_record(content, name, lambda code: code.replace(b'["weight"', b'["we\\"ght"')))
        assert "unknown way" in sentence
        assert "lacks the code of its class" in refusal(
            with_record(content, name, lambda code: code.replace(b"class Linear", b"class Lenear"))
        )
        assert "not valid UTF-8 text" in refusal(with_record(content, name, lambda code: b"\xff" + code))
