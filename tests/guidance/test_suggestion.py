from cmsa.guidance.suggestion import there_are


def test_few_names_are_told_and_many_are_counted() -> None:
    assert there_are("x", []) == "there are none"
    assert there_are("x", ["b", "a"], "cmsa models") == "there are b, a"
    many = [f"pose_{number}" for number in range(100, 190)]
    assert there_are("nothing", many) == "there are 90"
    told = there_are("pose_1299", many, "cmsa recipes")
    assert told.startswith("there are 90 (cmsa recipes lists them); did you mean pose_129, ")
    assert told.count("pose_") == 3


def test_case_does_not_matter() -> None:
    names = [f"cmsa_{letter}_pose_32x24" for letter in "bnls"]
    assert there_are("CMSA_N_POSE_32X24", names).endswith("; did you mean cmsa_n_pose_32x24?")


def test_the_nearest_of_a_few_is_named_too() -> None:
    names = ["cmsa_n_pose_32x24", "cmsa_n_pose_64x48", "cmsa_s_pose_32x24"]
    assert there_are("cmsa_n_pose_32x42", names).endswith("cmsa_s_pose_32x24; did you mean cmsa_n_pose_32x24?")
