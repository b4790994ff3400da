package codec

import (
	"bytes"
	"errors"
	"testing"
)

func TestListsOfShortElements(t *testing.T) {
	for _, n := range []int{1, longList, longList + 1, 3 * longList} {
		d := NewDecoder(AppendVec(nil, make([]byte, n))) // n empty vectors
		list := List(d, (*Decoder).Vec)
		if err := d.Done(); err != nil || len(list) != n {
			t.Errorf("%d bytes: %d elements, %v", n, len(list), err)
		}
		if n > longList && cap(list) != n {
			t.Errorf("%d elements in a list with room for %d", n, cap(list))
		}
	}
}

func TestListOfElementsOfNoBytesEnds(t *testing.T) {
	for _, n := range []int{1, longList + 1} {
		d := NewDecoder(AppendVec(nil, make([]byte, n)))
		List(d, func(*Decoder) struct{} { return struct{}{} })
		if err := d.Done(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestLongListsInALongList(t *testing.T) {
	inner := AppendVec(nil, bytes.Repeat([]byte{7}, longList+1))
	d := NewDecoder(append(AppendVec(nil, bytes.Repeat(inner, 3)), 9))
	list := List(d, func(d *Decoder) []byte { return List(d, (*Decoder).Uint8) })
	if len(list) != 3 || len(list[2]) != longList+1 || list[2][longList] != 7 {
		t.Errorf("%d lists", len(list))
	}
	if after := d.Uint8(); after != 9 || d.Done() != nil {
		t.Errorf("%d comes after the lists, %v", after, d.Done())
	}
}
