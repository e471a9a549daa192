//! The closed list of reasons a caller can be refused for: the word in `ErrorInfo`, in logs, in metrics and in docs.

/// Whose fault a refusal is, and so which gRPC code it travels under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request is wrong whatever the state: INVALID_ARGUMENT.
    InvalidArgument,
    /// The caller is not known: UNAUTHENTICATED.
    Unauthenticated,
    /// The caller is known and may not: PERMISSION_DENIED.
    PermissionDenied,
    /// What is asked for is not there: NOT_FOUND.
    NotFound,
    /// It collides with what is there: ALREADY_EXISTS.
    AlreadyExists,
    /// The state does not allow it now: FAILED_PRECONDITION.
    FailedPrecondition,
    /// Others have moved the state: ABORTED.
    Aborted,
    /// Over a limit: RESOURCE_EXHAUSTED.
    ResourceExhausted,
    /// The hub cannot now, a retry helps: UNAVAILABLE.
    Unavailable,
    /// A bug of ours: INTERNAL.
    Internal,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident, $word:literal, $fault:ident, $retry:literal, $vi:literal, $en:literal, $remedy:literal;)*) => {
        /// Why a caller is refused. Public API: a reason once shipped keeps its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $(#[doc = $en] $name,)* }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word on the wire, UPPER_SNAKE_CASE.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $word,)* } }

            /// Whose fault it is.
            #[must_use]
            pub const fn fault(self) -> Fault { match self { $(Self::$name => Fault::$fault,)* } }

            /// Whether sending the same again can succeed.
            #[must_use]
            pub const fn is_retryable(self) -> bool { match self { $(Self::$name => $retry,)* } }

            /// Vietnamese and English.
            #[must_use]
            pub const fn message(self) -> (&'static str, &'static str) { match self { $(Self::$name => ($vi, $en),)* } }

            /// What the caller can do, English.
            #[must_use]
            pub const fn remedy(self) -> &'static str { match self { $(Self::$name => $remedy,)* } }
        }
    };
}

reasons! {
    RequestInvalid, "REQUEST_INVALID", InvalidArgument, false,
        "Yêu cầu không hợp lệ.", "The request is not valid.", "Mend the fields listed.";
    RecordInvalid, "RECORD_INVALID", InvalidArgument, false,
        "Bản ghi vi phạm lược đồ hoặc từ điển dữ liệu.", "The record breaks rules of its schema or of the data dictionary.",
        "Mend the fields listed and send again.";
    RecordTooLarge, "RECORD_TOO_LARGE", InvalidArgument, false,
        "Bản ghi lớn hơn giới hạn.", "The record is larger than the limit.", "Send it in parts, or ask the operator for a higher `limits.record_bytes`.";
    EventTimeInvalid, "EVENT_TIME_INVALID", InvalidArgument, false,
        "Thời điểm sự kiện không tồn tại.", "The event time is no time between the years 1 and 9999.",
        "Send a google.protobuf.Timestamp in its range, or none.";
    ExchangeIdInvalid, "EXCHANGE_ID_INVALID", InvalidArgument, false,
        "Mã trao đổi không phải UUIDv7 hợp lệ hoặc ở tương lai.", "The exchange id is not a UUIDv7, or its time lies ahead of the hub's clock.",
        "Make a UUIDv7 for each record; check the clock.";
    ExchangeIdExpired, "EXCHANGE_ID_EXPIRED", FailedPrecondition, false,
        "Mã trao đổi đã quá thời hạn chống trùng.", "The exchange id is older than the idempotency window.",
        "Ask GetExchange what became of it; publish under a new id only if it was never accepted.";
    ExchangeIdReused, "EXCHANGE_ID_REUSED", AlreadyExists, false,
        "Mã trao đổi đã dùng cho nội dung khác.", "The exchange id was used for other content.", "Make a new id for each record.";
    ExchangeNotFound, "EXCHANGE_NOT_FOUND", NotFound, false,
        "Không tìm thấy lượt trao đổi này.", "No such exchange of this caller is known.", "Check id, dataset and stage; it may be older than the window.";
    CertificateWithoutIdentity, "CERTIFICATE_WITHOUT_IDENTITY", Unauthenticated, false,
        "Chứng thư không có URI SAN định danh cơ quan và hệ thống.", "The certificate has no URI SAN that names agency and system.",
        "Have a certificate issued with URI SAN spiffe://<trust domain>/agency/<agency>/system/<system>.";
    SystemUnknown, "SYSTEM_UNKNOWN", Unauthenticated, false,
        "Hệ thống chưa được đăng ký.", "The system is not registered.", "Have the system registered in the catalogue.";
    SystemSuspended, "SYSTEM_SUSPENDED", PermissionDenied, false,
        "Hệ thống đang bị tạm ngừng.", "The system is suspended.", "Ask the hub's operator.";
    NotAnOperator, "NOT_AN_OPERATOR", PermissionDenied, false,
        "Chứng thư của hệ thống không được thay đổi từ điển, lược đồ và danh mục.",
        "A department system's certificate changes nothing in dictionary, schemas and catalogue.",
        "Use the certificate of a person whose role permits it (docs/roles.md).";
    RoleMissing, "ROLE_MISSING", PermissionDenied, false,
        "Vai trò của chứng thư không cho phép việc này.", "The certificate's role does not permit this.",
        "Have it done by the role that is named, of the agency that is named (docs/roles.md).";
    DatasetUnknown, "DATASET_UNKNOWN", NotFound, false,
        "Bộ dữ liệu chưa được đăng ký.", "The dataset is not registered.", "Check its name; `ldop status` lists datasets.";
    NotAProvider, "NOT_A_PROVIDER", PermissionDenied, false,
        "Hệ thống không được cung cấp bộ dữ liệu này ở giai đoạn này.", "The system may not provide this dataset in this stage.",
        "Have it named as a provider of the dataset in this stage.";
    AgreementUnknown, "AGREEMENT_UNKNOWN", NotFound, false,
        "Thỏa thuận chia sẻ không tồn tại.", "There is no such agreement.", "Check the agreement's id.";
    NotTheConsumer, "NOT_THE_CONSUMER", PermissionDenied, false,
        "Hệ thống không phải bên khai thác của thỏa thuận.", "The system is not the consumer of the agreement.",
        "Use the system the agreement names, or make an agreement.";
    AgreementNotYetValid, "AGREEMENT_NOT_YET_VALID", FailedPrecondition, true,
        "Thỏa thuận chưa có hiệu lực.", "The agreement is not valid yet.", "Wait for its first day.";
    AgreementEnded, "AGREEMENT_ENDED", PermissionDenied, false,
        "Thỏa thuận đã kết thúc hoặc hết hạn.", "The agreement has ended or expired.", "Renew the agreement.";
    AgreementNotLive, "AGREEMENT_NOT_LIVE", FailedPrecondition, false,
        "Thỏa thuận chưa được các bên phê duyệt và đưa vào vận hành.", "The agreement is not approved and put in force yet.",
        "`ldop agreement list` tells whose approval or which step is missing.";
    AgreementSuspended, "AGREEMENT_SUSPENDED", FailedPrecondition, false,
        "Thỏa thuận đang bị tạm ngừng.", "The agreement is suspended.",
        "`ldop agreement history` tells by whom and why; ask them.";
    AgreementChanged, "AGREEMENT_CHANGED", Aborted, true,
        "Thỏa thuận vừa thay đổi.", "The agreement has changed.", "Open the subscription again.";
    ModeNotGranted, "MODE_NOT_GRANTED", PermissionDenied, false,
        "Thỏa thuận không cho phép hình thức khai thác này.", "The agreement does not grant this way of receiving data.",
        "Use a mode the agreement names, or have it name this one.";
    QuotaExceeded, "QUOTA_EXCEEDED", ResourceExhausted, true,
        "Đã dùng hết hạn mức của thỏa thuận.", "A quota of the agreement is used up.",
        "Come again after the retry time, or have the agreement grant more.";
    OutsideAllowedHours, "OUTSIDE_ALLOWED_HOURS", FailedPrecondition, true,
        "Ngoài giờ được khai thác theo thỏa thuận.", "The agreement grants nothing at this hour.",
        "Come again after the retry time; the agreement names its hours, in Việt Nam's time.";
    FieldNotGranted, "FIELD_NOT_GRANTED", PermissionDenied, false,
        "Thỏa thuận không cho xem nguyên vẹn trường dùng để tìm.", "The agreement does not show a field that is searched by, or shows it under a mask.",
        "Search by fields the agreement shows whole, or have it grant these.";
    AgreementUnfit, "AGREEMENT_UNFIT", FailedPrecondition, false,
        "Điều kiện của thỏa thuận không còn khớp với lược đồ của bộ dữ liệu.",
        "The agreement's row condition does not fit the dataset's schema any more.",
        "Have the agreement registered again with a condition that fits.";
    SubscriptionTakenOver, "SUBSCRIPTION_TAKEN_OVER", Aborted, false,
        "Phiên nhận khác của cùng hệ thống đã tiếp quản.", "Another stream has taken the subscription over.",
        "Use another subscription name to receive twice.";
    PositionOutOfRange, "POSITION_OUT_OF_RANGE", FailedPrecondition, false,
        "Vị trí nằm ngoài nhật ký.", "The position lies outside the log.", "Start at the earliest record, a time, or an acknowledged position.";
    RecordAltered, "RECORD_ALTERED", Internal, false,
        "Bản ghi trên nhật ký đã bị thay đổi.", "A record on the log does not have the bytes it was written with.",
        "Tell the hub's operator; delivery stops before the record.";
    ResourceNotFound, "RESOURCE_NOT_FOUND", NotFound, false,
        "Không tìm thấy.", "There is no such resource.", "Check its id.";
    DefinitionInvalid, "DEFINITION_INVALID", InvalidArgument, false,
        "Định nghĩa không hợp lệ.", "The definition is not valid.", "Mend what is listed; nothing was changed.";
    SchemaIncompatible, "SCHEMA_INCOMPATIBLE", FailedPrecondition, false,
        "Lược đồ mới không tương thích với phiên bản đã đăng ký.", "The schema is not compatible with the versions registered.",
        "Mend what is listed, register under another subject, or set the subject's compatibility.";
    SchemaNotApproved, "SCHEMA_NOT_APPROVED", FailedPrecondition, true,
        "Lược đồ của bộ dữ liệu chưa có phiên bản được phê duyệt cho giai đoạn này.",
        "The dataset's schema has no version approved for this stage.", "Have a version approved; until then publish in testing.";
    SchemaStateUnfit, "SCHEMA_STATE_UNFIT", FailedPrecondition, false,
        "Trạng thái của phiên bản không cho phép bước này.", "The state of the version does not allow this step.",
        "Read the version's state; docs/registry.md tells which step fits which state.";
    SchemaReferenced, "SCHEMA_REFERENCED", FailedPrecondition, false,
        "Lược đồ khác hoặc bộ dữ liệu đang dùng phiên bản này.", "Other schemas or datasets use this version.",
        "Register versions of them without it first, and delete those that refer to it.";
    ApprovedByItsAuthor, "APPROVED_BY_ITS_AUTHOR", PermissionDenied, false,
        "Người đăng ký không được tự phê duyệt.", "Who registered a version may not approve it.", "Have someone else approve it.";
    ApprovedAlready, "APPROVED_ALREADY", PermissionDenied, false,
        "Đã phê duyệt; một người không phê duyệt cho hai bên.", "It is approved already, and nobody approves for two parties.",
        "Have someone else approve for the party that is missing.";
    AgreementStateUnfit, "AGREEMENT_STATE_UNFIT", FailedPrecondition, false,
        "Trạng thái của thỏa thuận không cho phép bước này.", "The state of the agreement does not allow this step.",
        "Read where it stands; docs/agreements.md tells which step fits which state.";
    SubjectReadOnly, "SUBJECT_READ_ONLY", FailedPrecondition, false,
        "Chủ đề đang ở chế độ chỉ đọc.", "The subject takes no changes.", "Set its mode to READWRITE first.";
    StateMoved, "STATE_MOVED", Aborted, true,
        "Trạng thái đã bị người khác thay đổi.", "Someone else has changed the state.", "Read the state again, then apply again.";
    LevelNotRaised, "LEVEL_NOT_RAISED", FailedPrecondition, false,
        "Nhật ký điều khiển chưa được nâng lên mức mà thay đổi này cần.", "The control log does not stand at the level this change needs yet.",
        "When no hub of an older release is to read the log any more: ldop raise-level.";
    DatasetNotEncrypted, "DATASET_NOT_ENCRYPTED", FailedPrecondition, false,
        "Bộ dữ liệu không được mã hóa trên nhật ký nên không thể làm cho bản ghi không đọc được nữa.",
        "Records of the dataset are not all encrypted on the log, so they cannot be made unreadable.",
        "Publish a deletion; register data of persons as a new dataset, whose records are encrypted from the first.";
    LogUnavailable, "LOG_UNAVAILABLE", Unavailable, true,
        "Nhật ký tạm thời không ghi được.", "The log cannot take records now.", "Send again after the retry time, with the same exchange ids.";
    OutcomeUnknown, "OUTCOME_UNKNOWN", Unavailable, true,
        "Chưa rõ bản ghi đã được ghi hay chưa.", "It is not known yet whether the record was written.",
        "Send again with the same exchange id; it has one effect.";
    Overloaded, "OVERLOADED", ResourceExhausted, true,
        "Trung tâm đang quá tải.", "The hub is at its limit.", "Send again after the retry time.";
    CopyNotKept, "COPY_NOT_KEPT", FailedPrecondition, false,
        "Trung tâm không giữ bản sao hiện hành của bộ dữ liệu này.", "The hub keeps no current copy of this dataset.",
        "Ask by record key; or have the dataset's definition ask for a copy, and the operator give it a key file if it is personal.";
    HistoryNotKept, "HISTORY_NOT_KEPT", FailedPrecondition, false,
        "Trung tâm không giữ lịch sử của bộ dữ liệu này nên không biết giá trị tại thời điểm được hỏi.",
        "The hub keeps no history of this dataset, and nobody else is asked for values as of a time.",
        "Ask for the present value; or have the dataset's definition ask for history: current_copy.history.";
    CopyNotReady, "COPY_NOT_READY", Unavailable, true,
        "Bản sao hiện hành của bộ dữ liệu chưa sẵn sàng.", "The dataset's current copy is not ready.",
        "Ask again after the retry time; `ldop_copy_ready` tells the operator.";
    ExportNotResumable, "EXPORT_NOT_RESUMABLE", FailedPrecondition, false,
        "Không thể xuất tiếp từ chỗ đã bị ngắt.", "The export cannot go on where it was cut.", "Export anew, from the beginning.";
    LookUpNotServed, "LOOK_UP_NOT_SERVED", Unavailable, true,
        "Hiện không có hệ thống nào trả lời tra cứu bộ dữ liệu này.", "No system answers look-ups of this dataset now.",
        "Ask again after the retry time; tell the provider if it lasts.";
    LookUpNotAnswered, "LOOK_UP_NOT_ANSWERED", Unavailable, true,
        "Hệ thống cung cấp không trả lời kịp; chưa rõ có bản ghi hay không.",
        "The provider did not answer in time; whether there is a record is not known.", "Ask again; give more time.";
    LookUpAnswerInvalid, "LOOK_UP_ANSWER_INVALID", FailedPrecondition, false,
        "Câu trả lời của hệ thống cung cấp sai lược đồ hoặc không đúng khóa đã hỏi; không chuyển tiếp.",
        "The provider's answer breaks the schema or is about another key; it was not passed on.",
        "Tell the provider; nothing is known of the record until it answers rightly.";
    LookUpNotRecorded, "LOOK_UP_NOT_RECORDED", Unavailable, true,
        "Chưa ghi lại được lượt tra cứu nên không chuyển câu trả lời.",
        "The asking cannot be recorded durably now, so nothing is answered.", "Ask again after the retry time.";
    ShuttingDown, "SHUTTING_DOWN", Unavailable, true,
        "Trung tâm đang dừng.", "The hub is shutting down.", "Connect again after the retry time.";
    Fenced, "FENCED", Unavailable, true,
        "Nút khác đã tiếp quản quyền ghi.", "Another node has taken the writing over.", "Connect to the other node.";
    Internal, "INTERNAL", Internal, false,
        "Lỗi nội bộ.", "An internal error.", "Tell the hub's operator the request id.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_one_word_in_upper_snake_case() {
        let mut words: Vec<_> = Reason::ALL.iter().map(|r| r.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Reason::ALL.len());
        assert!(words.iter().all(|w| w.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')));
    }
}
