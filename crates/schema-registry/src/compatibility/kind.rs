//! The kinds of differences between two schemas.

/// What is said of a difference that was not proven to be compatible.
#[derive(Clone, Copy)]
enum Otherwise {
    /// The keyword asks for more than before: some value is refused.
    Refuted,
    /// It may be compatible for a reason that is not seen.
    Open,
}

macro_rules! kinds {
    ($($variant:ident = $word:literal, $otherwise:ident, $vi:literal, $en:literal;)*) => {
        /// A kind of difference between two schemas, from the earlier one to the later. docs/compatibility.md has a
        /// table of them. A word once shipped keeps its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum DifferenceKind {
            $(#[doc = $en] $variant,)*
        }

        impl DifferenceKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word in reports, UPPER_SNAKE_CASE.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// What it says, in Vietnamese and English.
            #[must_use]
            pub const fn describe(self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$variant => ($vi, $en),)*
                }
            }

            const fn otherwise(self) -> Otherwise {
                match self {
                    $(Self::$variant => Otherwise::$otherwise,)*
                }
            }
        }
    };
}

kinds! {
    SchemaClosed = "SCHEMA_CLOSED", Refuted, "không còn chấp nhận giá trị nào", "no value is accepted any more";
    SchemaOpened = "SCHEMA_OPENED", Refuted, "mọi giá trị nay được chấp nhận", "every value is accepted now";
    DraftChanged = "DRAFT_CHANGED", Open, "đổi phiên bản JSON Schema", "the draft of JSON Schema was changed";
    AnnotationChanged = "ANNOTATION_CHANGED", Refuted, "đổi chú thích, không ảnh hưởng tới giá trị", "an annotation was changed; values are not affected";
    TypeNarrowed = "TYPE_NARROWED", Refuted, "bớt kiểu dữ liệu được phép", "fewer types are permitted";
    TypeWidened = "TYPE_WIDENED", Refuted, "thêm kiểu dữ liệu được phép", "more types are permitted";
    TypeChanged = "TYPE_CHANGED", Refuted, "đổi kiểu dữ liệu được phép", "other types are permitted";
    EnumAdded = "ENUM_ADDED", Refuted, "thêm danh sách giá trị được phép", "a list of permitted values was added";
    EnumRemoved = "ENUM_REMOVED", Refuted, "bỏ danh sách giá trị được phép", "the list of permitted values was removed";
    EnumNarrowed = "ENUM_NARROWED", Refuted, "bớt giá trị được phép", "fewer values are permitted";
    EnumWidened = "ENUM_WIDENED", Refuted, "thêm giá trị được phép", "more values are permitted";
    EnumChanged = "ENUM_CHANGED", Refuted, "đổi danh sách giá trị được phép", "other values are permitted";
    ConstAdded = "CONST_ADDED", Refuted, "thêm giá trị cố định", "a fixed value was added";
    ConstRemoved = "CONST_REMOVED", Refuted, "bỏ giá trị cố định", "the fixed value was removed";
    ConstChanged = "CONST_CHANGED", Refuted, "đổi giá trị cố định", "the fixed value was changed";
    MinimumAdded = "MINIMUM_ADDED", Refuted, "thêm giá trị tối thiểu", "the minimum was added";
    MinimumRemoved = "MINIMUM_REMOVED", Refuted, "bỏ giá trị tối thiểu", "the minimum was removed";
    MinimumIncreased = "MINIMUM_INCREASED", Refuted, "tăng giá trị tối thiểu", "the minimum was raised";
    MinimumDecreased = "MINIMUM_DECREASED", Refuted, "giảm giá trị tối thiểu", "the minimum was lowered";
    MaximumAdded = "MAXIMUM_ADDED", Refuted, "thêm giá trị tối đa", "the maximum was added";
    MaximumRemoved = "MAXIMUM_REMOVED", Refuted, "bỏ giá trị tối đa", "the maximum was removed";
    MaximumIncreased = "MAXIMUM_INCREASED", Refuted, "tăng giá trị tối đa", "the maximum was raised";
    MaximumDecreased = "MAXIMUM_DECREASED", Refuted, "giảm giá trị tối đa", "the maximum was lowered";
    ExclusiveMinimumAdded = "EXCLUSIVE_MINIMUM_ADDED", Refuted, "thêm cận dưới (không lấy dấu bằng)", "the exclusive minimum was added";
    ExclusiveMinimumRemoved = "EXCLUSIVE_MINIMUM_REMOVED", Refuted, "bỏ cận dưới (không lấy dấu bằng)", "the exclusive minimum was removed";
    ExclusiveMinimumIncreased = "EXCLUSIVE_MINIMUM_INCREASED", Refuted, "tăng cận dưới (không lấy dấu bằng)", "the exclusive minimum was raised";
    ExclusiveMinimumDecreased = "EXCLUSIVE_MINIMUM_DECREASED", Refuted, "giảm cận dưới (không lấy dấu bằng)", "the exclusive minimum was lowered";
    ExclusiveMaximumAdded = "EXCLUSIVE_MAXIMUM_ADDED", Refuted, "thêm cận trên (không lấy dấu bằng)", "the exclusive maximum was added";
    ExclusiveMaximumRemoved = "EXCLUSIVE_MAXIMUM_REMOVED", Refuted, "bỏ cận trên (không lấy dấu bằng)", "the exclusive maximum was removed";
    ExclusiveMaximumIncreased = "EXCLUSIVE_MAXIMUM_INCREASED", Refuted, "tăng cận trên (không lấy dấu bằng)", "the exclusive maximum was raised";
    ExclusiveMaximumDecreased = "EXCLUSIVE_MAXIMUM_DECREASED", Refuted, "giảm cận trên (không lấy dấu bằng)", "the exclusive maximum was lowered";
    MinLengthAdded = "MIN_LENGTH_ADDED", Refuted, "thêm độ dài tối thiểu", "the least length was added";
    MinLengthRemoved = "MIN_LENGTH_REMOVED", Refuted, "bỏ độ dài tối thiểu", "the least length was removed";
    MinLengthIncreased = "MIN_LENGTH_INCREASED", Refuted, "tăng độ dài tối thiểu", "the least length was raised";
    MinLengthDecreased = "MIN_LENGTH_DECREASED", Refuted, "giảm độ dài tối thiểu", "the least length was lowered";
    MaxLengthAdded = "MAX_LENGTH_ADDED", Refuted, "thêm độ dài tối đa", "the greatest length was added";
    MaxLengthRemoved = "MAX_LENGTH_REMOVED", Refuted, "bỏ độ dài tối đa", "the greatest length was removed";
    MaxLengthIncreased = "MAX_LENGTH_INCREASED", Refuted, "tăng độ dài tối đa", "the greatest length was raised";
    MaxLengthDecreased = "MAX_LENGTH_DECREASED", Refuted, "giảm độ dài tối đa", "the greatest length was lowered";
    MinPropertiesAdded = "MIN_PROPERTIES_ADDED", Refuted, "thêm số trường tối thiểu", "the least number of members was added";
    MinPropertiesRemoved = "MIN_PROPERTIES_REMOVED", Refuted, "bỏ số trường tối thiểu", "the least number of members was removed";
    MinPropertiesIncreased = "MIN_PROPERTIES_INCREASED", Refuted, "tăng số trường tối thiểu", "the least number of members was raised";
    MinPropertiesDecreased = "MIN_PROPERTIES_DECREASED", Refuted, "giảm số trường tối thiểu", "the least number of members was lowered";
    MaxPropertiesAdded = "MAX_PROPERTIES_ADDED", Refuted, "thêm số trường tối đa", "the greatest number of members was added";
    MaxPropertiesRemoved = "MAX_PROPERTIES_REMOVED", Refuted, "bỏ số trường tối đa", "the greatest number of members was removed";
    MaxPropertiesIncreased = "MAX_PROPERTIES_INCREASED", Refuted, "tăng số trường tối đa", "the greatest number of members was raised";
    MaxPropertiesDecreased = "MAX_PROPERTIES_DECREASED", Refuted, "giảm số trường tối đa", "the greatest number of members was lowered";
    MinItemsAdded = "MIN_ITEMS_ADDED", Refuted, "thêm số phần tử tối thiểu", "the least number of items was added";
    MinItemsRemoved = "MIN_ITEMS_REMOVED", Refuted, "bỏ số phần tử tối thiểu", "the least number of items was removed";
    MinItemsIncreased = "MIN_ITEMS_INCREASED", Refuted, "tăng số phần tử tối thiểu", "the least number of items was raised";
    MinItemsDecreased = "MIN_ITEMS_DECREASED", Refuted, "giảm số phần tử tối thiểu", "the least number of items was lowered";
    MaxItemsAdded = "MAX_ITEMS_ADDED", Refuted, "thêm số phần tử tối đa", "the greatest number of items was added";
    MaxItemsRemoved = "MAX_ITEMS_REMOVED", Refuted, "bỏ số phần tử tối đa", "the greatest number of items was removed";
    MaxItemsIncreased = "MAX_ITEMS_INCREASED", Refuted, "tăng số phần tử tối đa", "the greatest number of items was raised";
    MaxItemsDecreased = "MAX_ITEMS_DECREASED", Refuted, "giảm số phần tử tối đa", "the greatest number of items was lowered";
    MultipleOfAdded = "MULTIPLE_OF_ADDED", Refuted, "thêm bội số", "a multiple was added";
    MultipleOfRemoved = "MULTIPLE_OF_REMOVED", Refuted, "bỏ bội số", "the multiple was removed";
    MultipleOfChanged = "MULTIPLE_OF_CHANGED", Open, "đổi bội số", "the multiple was changed";
    PatternAdded = "PATTERN_ADDED", Refuted, "thêm mẫu", "a pattern was added";
    PatternRemoved = "PATTERN_REMOVED", Refuted, "bỏ mẫu", "the pattern was removed";
    PatternChanged = "PATTERN_CHANGED", Open, "đổi mẫu; không so sánh được hai mẫu khác nhau", "the pattern was changed; two different patterns are not compared";
    FormatAdded = "FORMAT_ADDED", Refuted, "thêm định dạng", "a format was added";
    FormatRemoved = "FORMAT_REMOVED", Refuted, "bỏ định dạng", "the format was removed";
    FormatChanged = "FORMAT_CHANGED", Open, "đổi định dạng; không so sánh được hai định dạng khác nhau", "the format was changed; two different formats are not compared";
    ContentAdded = "CONTENT_ADDED", Refuted, "thêm mã hóa hoặc loại nội dung", "an encoding or media type of the content was added";
    ContentRemoved = "CONTENT_REMOVED", Refuted, "bỏ mã hóa hoặc loại nội dung", "the encoding or media type of the content was removed";
    ContentChanged = "CONTENT_CHANGED", Open, "đổi mã hóa hoặc loại nội dung", "the encoding or media type of the content was changed";
    RequiredAdded = "REQUIRED_ADDED", Refuted, "thêm trường bắt buộc", "a member became required";
    RequiredAddedWithDefault = "REQUIRED_ADDED_WITH_DEFAULT", Refuted, "thêm trường bắt buộc có giá trị mặc định", "a member with a default became required";
    RequiredRemoved = "REQUIRED_REMOVED", Refuted, "trường không còn bắt buộc", "a member is no longer required";
    PropertyAddedToOpen = "PROPERTY_ADDED_TO_OPEN", Refuted, "khai báo thêm trường trong đối tượng mở", "a member was declared in an open object";
    PropertyAddedToClosed = "PROPERTY_ADDED_TO_CLOSED", Refuted, "khai báo thêm trường trong đối tượng đóng", "a member was declared in a closed object";
    PropertyAddedToPartial = "PROPERTY_ADDED_TO_PARTIAL", Refuted, "khai báo thêm trường trong đối tượng mở một phần", "a member was declared in a partially open object";
    PropertyRemovedFromOpen = "PROPERTY_REMOVED_FROM_OPEN", Refuted, "bỏ khai báo trường, đối tượng mở", "a member is no longer declared; the object is open";
    PropertyRemovedFromClosed = "PROPERTY_REMOVED_FROM_CLOSED", Refuted, "bỏ khai báo trường, đối tượng đóng", "a member is no longer declared; the object is closed";
    PropertyRemovedFromPartial = "PROPERTY_REMOVED_FROM_PARTIAL", Refuted, "bỏ khai báo trường, đối tượng mở một phần", "a member is no longer declared; the object is partially open";
    PatternPropertyAdded = "PATTERN_PROPERTY_ADDED", Open, "thêm lược đồ cho các trường có tên theo mẫu", "a schema for members named by a pattern was added";
    PatternPropertyRemoved = "PATTERN_PROPERTY_REMOVED", Open, "bỏ lược đồ cho các trường có tên theo mẫu", "the schema for members named by a pattern was removed";
    AdditionalPropertiesClosed = "ADDITIONAL_PROPERTIES_CLOSED", Refuted, "không còn cho phép trường chưa khai báo", "members that are not declared are no longer permitted";
    AdditionalPropertiesOpened = "ADDITIONAL_PROPERTIES_OPENED", Refuted, "cho phép trường chưa khai báo", "members that are not declared are permitted now";
    AdditionalPropertiesNarrowed = "ADDITIONAL_PROPERTIES_NARROWED", Refuted, "thêm lược đồ cho trường chưa khai báo", "members that are not declared have a schema now";
    AdditionalPropertiesWidened = "ADDITIONAL_PROPERTIES_WIDENED", Refuted, "bỏ lược đồ cho trường chưa khai báo", "members that are not declared no longer have a schema";
    PropertyNamesAdded = "PROPERTY_NAMES_ADDED", Refuted, "thêm lược đồ cho tên trường", "a schema for the names of members was added";
    PropertyNamesRemoved = "PROPERTY_NAMES_REMOVED", Refuted, "bỏ lược đồ cho tên trường", "the schema for the names of members was removed";
    DependentRequiredAdded = "DEPENDENT_REQUIRED_ADDED", Refuted, "thêm trường bắt buộc theo trường khác", "a member became required beside another";
    DependentRequiredRemoved = "DEPENDENT_REQUIRED_REMOVED", Refuted, "bỏ trường bắt buộc theo trường khác", "a member is no longer required beside another";
    DependentSchemaAdded = "DEPENDENT_SCHEMA_ADDED", Open, "thêm lược đồ áp dụng theo trường khác", "a schema that depends on a member was added";
    DependentSchemaRemoved = "DEPENDENT_SCHEMA_REMOVED", Open, "bỏ lược đồ áp dụng theo trường khác", "a schema that depends on a member was removed";
    PrefixItemAdded = "PREFIX_ITEM_ADDED", Refuted, "thêm lược đồ cho phần tử theo vị trí", "a schema for an item at its place was added";
    PrefixItemRemoved = "PREFIX_ITEM_REMOVED", Refuted, "bỏ lược đồ cho phần tử theo vị trí", "the schema for an item at its place was removed";
    ItemsAdded = "ITEMS_ADDED", Refuted, "thêm lược đồ cho phần tử", "a schema for items was added";
    ItemsRemoved = "ITEMS_REMOVED", Refuted, "bỏ lược đồ cho phần tử", "the schema for items was removed";
    UniqueItemsAdded = "UNIQUE_ITEMS_ADDED", Refuted, "các phần tử phải khác nhau", "items have to differ now";
    UniqueItemsRemoved = "UNIQUE_ITEMS_REMOVED", Refuted, "các phần tử được phép trùng nhau", "items need not differ any more";
    ContainsAdded = "CONTAINS_ADDED", Open, "thêm điều kiện phải chứa phần tử", "a schema that items have to contain was added";
    ContainsRemoved = "CONTAINS_REMOVED", Open, "bỏ điều kiện phải chứa phần tử", "the schema that items have to contain was removed";
    MinContainsIncreased = "MIN_CONTAINS_INCREASED", Open, "tăng số phần tử phải chứa", "more items have to be contained";
    MinContainsDecreased = "MIN_CONTAINS_DECREASED", Open, "giảm số phần tử phải chứa", "fewer items have to be contained";
    MaxContainsIncreased = "MAX_CONTAINS_INCREASED", Open, "tăng số phần tử được chứa", "more items may be contained";
    MaxContainsDecreased = "MAX_CONTAINS_DECREASED", Open, "giảm số phần tử được chứa", "fewer items may be contained";
    AllOfAdded = "ALL_OF_ADDED", Open, "thêm allOf", "allOf was added";
    AllOfRemoved = "ALL_OF_REMOVED", Open, "bỏ allOf", "allOf was removed";
    AllOfExtended = "ALL_OF_EXTENDED", Open, "thêm nhánh vào allOf", "a branch was added to allOf";
    AllOfReduced = "ALL_OF_REDUCED", Open, "bớt nhánh của allOf", "a branch was removed from allOf";
    AnyOfAdded = "ANY_OF_ADDED", Open, "thêm anyOf", "anyOf was added";
    AnyOfRemoved = "ANY_OF_REMOVED", Open, "bỏ anyOf", "anyOf was removed";
    AnyOfExtended = "ANY_OF_EXTENDED", Open, "thêm nhánh vào anyOf", "a branch was added to anyOf";
    AnyOfReduced = "ANY_OF_REDUCED", Open, "bớt nhánh của anyOf", "a branch was removed from anyOf";
    OneOfAdded = "ONE_OF_ADDED", Open, "thêm oneOf", "oneOf was added";
    OneOfRemoved = "ONE_OF_REMOVED", Open, "bỏ oneOf", "oneOf was removed";
    OneOfExtended = "ONE_OF_EXTENDED", Open, "thêm nhánh vào oneOf", "a branch was added to oneOf";
    OneOfReduced = "ONE_OF_REDUCED", Open, "bớt nhánh của oneOf", "a branch was removed from oneOf";
    NotAdded = "NOT_ADDED", Open, "thêm điều loại trừ (not)", "an exclusion (not) was added";
    NotRemoved = "NOT_REMOVED", Open, "bỏ điều loại trừ (not)", "the exclusion (not) was removed";
    ConditionAdded = "CONDITION_ADDED", Open, "thêm điều kiện (if)", "a condition (if) was added";
    ConditionRemoved = "CONDITION_REMOVED", Open, "bỏ điều kiện (if)", "the condition (if) was removed";
    ConditionChanged = "CONDITION_CHANGED", Open, "đổi điều kiện (if)", "the condition (if) was changed";
    UnevaluatedPropertiesChanged = "UNEVALUATED_PROPERTIES_CHANGED", Open, "đổi lược đồ cho trường chưa được xét", "the schema of unevaluated members was changed";
    UnevaluatedItemsChanged = "UNEVALUATED_ITEMS_CHANGED", Open, "đổi lược đồ cho phần tử chưa được xét", "the schema of unevaluated items was changed";
    DynamicReferenceChanged = "DYNAMIC_REFERENCE_CHANGED", Open, "có tham chiếu động ($dynamicRef, $recursiveRef) và lược đồ đã đổi", "there is a dynamic reference and the schema was changed";
    ElementChanged = "ELEMENT_CHANGED", Open, "đổi phần tử từ điển mà trường gắn với", "the dictionary element a member is bound to was changed";
    ChecksChanged = "CHECKS_CHANGED", Open, "đổi phép kiểm tra chéo (x-ldop-checks)", "the checks across members (x-ldop-checks) were changed";
    RuleAdded = "RULE_ADDED", Open, "thêm quy tắc giữa các trường (x-ldop-rules)", "a rule across fields (x-ldop-rules) was added";
    RuleRemoved = "RULE_REMOVED", Open, "bỏ quy tắc giữa các trường (x-ldop-rules)", "a rule across fields (x-ldop-rules) was removed";
    RuleChanged = "RULE_CHANGED", Open, "đổi quy tắc giữa các trường (x-ldop-rules)", "a rule across fields (x-ldop-rules) was changed";
    UnknownKeywordChanged = "UNKNOWN_KEYWORD_CHANGED", Open, "đổi từ khóa không biết nghĩa", "a keyword whose meaning is not known was changed";
    NotDecided = "NOT_DECIDED", Open, "không quyết định được là tương thích", "it cannot be decided that this is compatible";
    BudgetExceeded = "BUDGET_EXCEEDED", Open, "lược đồ quá phức tạp để so sánh", "the schemas are too complex to be compared";
}

impl DifferenceKind {
    /// Whether one that was not proven to be compatible refuses some value for sure, apart from what else the schemas
    /// say.
    pub(super) fn is_refuted(self) -> bool {
        matches!(self.otherwise(), Otherwise::Refuted)
    }
}
