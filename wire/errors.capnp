@0xf0e07a92a66580ab;
using Q = import "annotations.capnp";

struct Error {
  # Error is the payload of every reply whose status is not 0; the status repeats its kind.

  kind @0 :UInt16;                # one of the numbers of qpq.Kind; unknown ones count as internal
  code @1 :Text $Q.max(64);       # stable, for programs: "name-taken"
  text @2 :Text $Q.max(1024);     # what was tried, what is wrong and what to do, for people
}
