package message

import (
	"slices"

	"github.com/quicproquo/qpq/mls/internal/codec"
)

// ComponentID names a part of an application (draft-ietf-mls-extensions).
type ComponentID uint16

// The components that the draft names.
const (
	ComponentAppComponents        ComponentID = 1
	ComponentSafeAAD              ComponentID = 2
	ComponentContentMediaTypes    ComponentID = 3
	ComponentLastResortKeyPackage ComponentID = 4
	ComponentAppAck               ComponentID = 5
)

// ComponentData is what one component keeps in an AppDataDictionary.
type ComponentData struct {
	Component ComponentID
	Data      []byte
}

// AppDataDictionary is the content of the app_data_dictionary extension: data by component, strictly
// increasing by component (draft-ietf-mls-extensions).
type AppDataDictionary []ComponentData

func (d AppDataDictionary) search(id ComponentID) (int, bool) {
	return slices.BinarySearchFunc(d, id, func(e ComponentData, id ComponentID) int {
		return int(e.Component) - int(id)
	})
}

// Find returns the data of a component.
func (d AppDataDictionary) Find(id ComponentID) ([]byte, bool) {
	if i, ok := d.search(id); ok {
		return d[i].Data, true
	}
	return nil, false
}

// Marshal returns the encoding of d.
func (d AppDataDictionary) Marshal() []byte {
	return codec.AppendList(nil, d, func(b []byte, e ComponentData) []byte {
		return codec.AppendVec(codec.AppendUint16(b, uint16(e.Component)), e.Data)
	})
}

// UnmarshalAppDataDictionary decodes the content of an app_data_dictionary extension.
func UnmarshalAppDataDictionary(data []byte) (AppDataDictionary, error) {
	return whole(data, "app_data_dictionary", func(d *codec.Decoder) AppDataDictionary {
		list := codec.List(d, func(d *codec.Decoder) ComponentData {
			return ComponentData{ComponentID(d.Uint16()), d.Vec()}
		})
		for i := 1; i < len(list); i++ {
			if list[i].Component <= list[i-1].Component {
				d.Fail("components out of order")
			}
		}
		return list
	})
}

// AppDataUpdate changes what a component keeps in the group context (draft-ietf-mls-extensions).
type AppDataUpdate struct {
	Component ComponentID
	Remove    bool   // removes the component's entry
	Update    []byte // otherwise: what the component applies to its entry
}

// Type returns ProposalAppDataUpdate.
func (*AppDataUpdate) Type() ProposalType { return ProposalAppDataUpdate }

func (p *AppDataUpdate) append(b []byte) []byte {
	b = codec.AppendUint16(b, uint16(p.Component))
	if p.Remove {
		return append(b, 2)
	}
	return codec.AppendVec(append(b, 1), p.Update)
}

func decodeAppDataUpdate(d *codec.Decoder) *AppDataUpdate {
	p := &AppDataUpdate{Component: ComponentID(d.Uint16())}
	switch op := d.Uint8(); op {
	case 1:
		p.Update = d.Vec()
	case 2:
		p.Remove = true
	default:
		d.Fail("application data operation %d", op)
	}
	return p
}

// AppEphemeral attaches a component's data to a commit (draft-ietf-mls-extensions).
type AppEphemeral struct {
	Component ComponentID
	Data      []byte
}

// Type returns ProposalAppEphemeral.
func (*AppEphemeral) Type() ProposalType { return ProposalAppEphemeral }

func (p *AppEphemeral) append(b []byte) []byte {
	return codec.AppendVec(codec.AppendUint16(b, uint16(p.Component)), p.Data)
}
