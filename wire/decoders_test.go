package wire

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// decoders lists every type of message; TestDecoders holds it complete.
var decoders = []messageDecoder{
	decoderOf[AccountLookup](),
	decoderOf[AccountLookupReply](),
	decoderOf[AccountPublish](),
	decoderOf[AccountPublishReply](),
	decoderOf[AccountDelete](),
	decoderOf[AccountDeleteReply](),
	decoderOf[AccountReset](),
	decoderOf[AccountResetReply](),
	decoderOf[AccountResetCancel](),
	decoderOf[AccountResetCancelReply](),
	decoderOf[TokenCreate](),
	decoderOf[TokenCreateReply](),
	decoderOf[TokensList](),
	decoderOf[TokenEntry](),
	decoderOf[TokensListReply](),
	decoderOf[TokenRevoke](),
	decoderOf[TokenRevokeReply](),
	decoderOf[RegisterStart](),
	decoderOf[RegisterStartReply](),
	decoderOf[RegisterFinish](),
	decoderOf[RegisterFinishReply](),
	decoderOf[LoginStart](),
	decoderOf[LoginStartReply](),
	decoderOf[LoginFinish](),
	decoderOf[LoginFinishReply](),
	decoderOf[PasswordStart](),
	decoderOf[PasswordStartReply](),
	decoderOf[PasswordFinish](),
	decoderOf[PasswordFinishReply](),
	decoderOf[AuthChallenge](),
	decoderOf[AuthChallengeReply](),
	decoderOf[Authenticate](),
	decoderOf[AuthenticateReply](),
	decoderOf[BlobCreate](),
	decoderOf[BlobCreateReply](),
	decoderOf[BlobWrite](),
	decoderOf[BlobWriteReply](),
	decoderOf[BlobRead](),
	decoderOf[BlobReadReply](),
	decoderOf[Member](),
	decoderOf[MemberRole](),
	decoderOf[MemberDevice](),
	decoderOf[Founding](),
	decoderOf[Claim](),
	decoderOf[ChannelChunks](),
	decoderOf[ChannelChunksReply](),
	decoderOf[ChannelHead](),
	decoderOf[OfferedCommit](),
	decoderOf[ChannelOffer](),
	decoderOf[ChannelOfferReply](),
	decoderOf[ChannelLeave](),
	decoderOf[ChannelLeaveReply](),
	decoderOf[Conversation](),
	decoderOf[AccessGrant](),
	decoderOf[GroupState](),
	decoderOf[SealedAccessKey](),
	decoderOf[ChannelPolicy](),
	decoderOf[ChannelCreate](),
	decoderOf[ChannelCreateReply](),
	decoderOf[ChannelCommit](),
	decoderOf[SlotReceipt](),
	decoderOf[ChannelCommitReply](),
	decoderOf[ChannelGroup](),
	decoderOf[ChannelGroupReply](),
	decoderOf[ChannelInfo](),
	decoderOf[ChannelInfoReply](),
	decoderOf[ChannelsList](),
	decoderOf[ChannelsListReply](),
	decoderOf[Send](),
	decoderOf[SendReply](),
	decoderOf[SendEphemeral](),
	decoderOf[SendEphemeralReply](),
	decoderOf[InboxRow](),
	decoderOf[InboxFetch](),
	decoderOf[InboxFetchReply](),
	decoderOf[InboxAck](),
	decoderOf[InboxAckReply](),
	decoderOf[DevicesList](),
	decoderOf[DeviceEntry](),
	decoderOf[DevicesListReply](),
	decoderOf[DeviceRename](),
	decoderOf[DeviceRenameReply](),
	decoderOf[Error](),
	decoderOf[Ping](),
	decoderOf[PingReply](),
	decoderOf[ServerInfo](),
	decoderOf[Limits](),
	decoderOf[ServerInfoReply](),
	decoderOf[KeyPackage](),
	decoderOf[KeyPackagesUpload](),
	decoderOf[KeyPackageCount](),
	decoderOf[KeyPackagesUploadReply](),
	decoderOf[KeyPackagesCount](),
	decoderOf[KeyPackagesCountReply](),
	decoderOf[KeyPackagesClaim](),
	decoderOf[ClaimedKeyPackage](),
	decoderOf[KeyPackagesClaimReply](),
	decoderOf[LinkCreate](),
	decoderOf[LinkCreateReply](),
	decoderOf[LinkOffer](),
	decoderOf[LinkOfferReply](),
	decoderOf[LinkTake](),
	decoderOf[LinkTakeReply](),
	decoderOf[LinkAnswer](),
	decoderOf[LinkAnswerReply](),
	decoderOf[LinkWait](),
	decoderOf[LinkWaitReply](),
	decoderOf[Message](),
	decoderOf[MessageRef](),
	decoderOf[TextBody](),
	decoderOf[ReplyBody](),
	decoderOf[ReactionBody](),
	decoderOf[EditBody](),
	decoderOf[DeleteBody](),
	decoderOf[ReceiptBody](),
	decoderOf[TypingBody](),
	decoderOf[FileBody](),
	decoderOf[SystemBody](),
	decoderOf[ReservedBody](),
	decoderOf[Push](),
	decoderOf[InboxPush](),
	decoderOf[AccountPush](),
	decoderOf[SupersededPush](),
	decoderOf[DrainingPush](),
	decoderOf[LinkPush](),
	decoderOf[KeyPackagesPush](),
	decoderOf[EphemeralPush](),
	decoderOf[DeviceWrap](),
	decoderOf[VaultKeys](),
	decoderOf[VaultKeysGet](),
	decoderOf[VaultKeysGetReply](),
	decoderOf[VaultItem](),
	decoderOf[VaultGet](),
	decoderOf[VaultGetReply](),
	decoderOf[VaultPut](),
	decoderOf[VaultPutReply](),
}

func TestDecoders(t *testing.T) {
	listed := map[string]bool{}
	for _, d := range decoders {
		listed[d.name] = true
	}
	files, err := filepath.Glob("*.capnp.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no generated files: %v", err)
	}
	for _, file := range files {
		code, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func \(\*(\w+)\) size`).FindAllSubmatch(code, -1) {
			if !listed[string(m[1])] {
				t.Errorf("%s is not in the table of decoders: it would not be fuzzed", m[1])
			}
		}
	}
}
