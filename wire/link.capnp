@0xac77e369d5470892;
using Q = import "annotations.capnp";

struct LinkCreate {
  # LinkCreate opens a rendezvous for a device to be linked. One per account at a time: a new one
  # ends the old one.

  rendezvous @0 :Data $Q.len(16);        # derived from the link code, of which it tells nothing
}

struct LinkCreateReply {
  # LinkCreateReply says how long the rendezvous is open.

  expires @0 :Int64 $Q.time;
}

struct LinkOffer {
  # LinkOffer leaves the new device's sealed request at the rendezvous. The first one counts.

  rendezvous @0 :Data $Q.len(16);
  sealed @1 :Data $Q.min(1) $Q.max(16384);
}

struct LinkOfferReply {
  # LinkOfferReply confirms the offer.
}

struct LinkTake {
  # LinkTake waits for the offer made at the rendezvous of the own account.

  rendezvous @0 :Data $Q.len(16);
  waitSeconds @1 :UInt16;                # long poll; the server waits at most 60
}

struct LinkTakeReply {
  # LinkTakeReply carries the offer, empty if none came in time.

  sealed @0 :Data $Q.max(16384);
}

struct LinkAnswer {
  # LinkAnswer leaves the sealed answer for the new device, which the account state lists by now.

  rendezvous @0 :Data $Q.len(16);
  sealed @1 :Data $Q.min(1) $Q.max(131072);
}

struct LinkAnswerReply {
  # LinkAnswerReply confirms the answer.
}

struct LinkWait {
  # LinkWait waits for the answer at a rendezvous, where it stays until the rendezvous expires.

  rendezvous @0 :Data $Q.len(16);
  waitSeconds @1 :UInt16;                # long poll; the server waits at most 60
}

struct LinkWaitReply {
  # LinkWaitReply carries the answer, empty if none came in time.

  sealed @0 :Data $Q.max(131072);
}
