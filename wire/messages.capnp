@0x805c5170ee52c0b8;
using Q = import "annotations.capnp";

# What members say to each other inside MLS. No server sees any of it.

struct Message $Q.open {
  # Message is one application message: what an MLS application_data carries. Its sender is the
  # device that MLS authenticated. An unknown kind of body is kept, and shown as unknown.

  id @0 :Data $Q.len(16);          # random, unique for its sender: receivers drop repetitions
  sent @1 :Int64 $Q.time;          # by the sender's clock
  expireSeconds @2 :UInt32;        # the conversation's timer when it was sent; 0 is none
  body :union {
    text @3 :TextBody;
    reply @4 :ReplyBody;
    reaction @5 :ReactionBody;
    edit @6 :EditBody;
    delete @7 :DeleteBody;
    receipt @8 :ReceiptBody;
    typing @9 :TypingBody;
    file @10 :FileBody;
    system @11 :SystemBody;
    viewOnce @12 :ViewOnceBody;
    call @13 :ReservedBody $Q.reserved;
    cover @14 :CoverBody;
  }
}

struct MessageRef {
  # MessageRef names a message of the same conversation.

  sender @0 :Text $Q.user;
  id @1 :Data $Q.len(16);
}

struct TextBody {
  # TextBody is plain text, in which a subset of Markdown may be shown.

  text @0 :Text $Q.max(65536);
  mentions @1 :List(Text) $Q.max(256) $Q.user;
}

struct ReplyBody {
  # ReplyBody is text that answers a message, in the thread that root began.

  target @0 :MessageRef;
  root @1 :MessageRef $Q.optional;
  text @2 :Text $Q.max(65536);
  mentions @3 :List(Text) $Q.max(256) $Q.user;
}

struct ReactionBody {
  # ReactionBody puts an emoji on a message or takes it off.

  target @0 :MessageRef;
  emoji @1 :Text $Q.min(1) $Q.max(64);
  remove @2 :Bool;
}

struct EditBody {
  # EditBody replaces the text of one of the sender's own messages.

  target @0 :MessageRef;
  text @1 :Text $Q.max(65536);
  mentions @2 :List(Text) $Q.max(256) $Q.user;
}

struct DeleteBody {
  # DeleteBody asks every device to forget a message: the sender's own, and nobody else's.

  target @0 :MessageRef;
}

enum ReceiptKind $Q.open {
  # ReceiptKind says what a receipt confirms.

  delivered @0;
  read @1;
}

struct ReceiptBody {
  # ReceiptBody confirms messages.

  kind @0 :ReceiptKind;
  messages @1 :List(MessageRef) $Q.min(1) $Q.max(256);
}

struct TypingBody {
  # TypingBody says that the sender began or ceased to write. It is never stored.

  active @0 :Bool;
}

struct FileBody {
  # FileBody refers to an end-to-end encrypted file among the blobs of a server.

  blob @0 :Data $Q.len(32);        # SHA-256 of the encrypted file: its address
  domain @1 :Text $Q.min(1) $Q.max(255); # the server that keeps it
  key @2 :Data $Q.len(32);         # opens it
  size @3 :UInt64;                 # bytes of the file in the clear
  chunk @4 :UInt32;                # bytes of a chunk in the clear
  digest @5 :Data $Q.len(32);      # SHA-256 of the file in the clear
  name @6 :Text $Q.max(255);       # as the sender calls it: never a path
  mediaType @7 :Text $Q.max(127);
  caption @8 :Text $Q.max(65536);
  thumbnail @9 :Data $Q.max(32768);
}

struct ViewOnceBody {
  # ViewOnceBody is a text, or a file, that a receiver shows once and then forgets: a placeholder stays.

  text @0 :Text $Q.max(65536);
  file @1 :FileBody $Q.optional;   # its blob was uploaded to be read once
}

enum SystemKind $Q.open {
  # SystemKind says what happened that no commit shows.

  note @0;       # text alone
  timer @1;      # the timer of the conversation became seconds
  title @2;      # the title became text
  screenshot @3; # the sender took a picture of the conversation
}

struct SystemBody {
  # SystemBody tells of something that happened to the conversation.

  kind @0 :SystemKind;
  text @1 :Text $Q.max(4096);
  seconds @2 :UInt32;
  users @3 :List(Text) $Q.max(256) $Q.user;
}

struct CoverBody {
  # CoverBody says nothing: it is sent so that nobody can tell from outside when something is said. Receivers show it to nobody, and confirm that it
  # came as they do of others.
}

struct ReservedBody {
  # ReservedBody stands for bodies that are to come: calls.
}
