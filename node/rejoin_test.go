package node

import "testing"

func TestADeviceJoinsByItself(t *testing.T) {
	r := newRig(t, nil)
	alice := r.join("alice")
	x := r.create(alice, nil)
	phone := r.secondDevice(alice)
	x.take(phone, x.rejoin(phone, 1, 0))
	x.say(phone, "hello", 1)
	wantLines(t, "alice's inbox", alice.inbox(0), "commit 1 ", "message 2 hello")
	x.take(phone, x.rejoin(phone, 2, 1)) // anew: it lost its state
	x.say(phone, "again", 2)
}
