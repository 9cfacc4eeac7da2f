import pandas as pd

from process import features


def test_features_are_added():
    frame = features(pd.DataFrame({"A": [4.0], "B": [0.0]}))
    assert frame.loc[0, "A_sqrt"] == 2.0
    assert frame.loc[0, "B_log"] == 0.0


def test_input_is_left_alone():
    frame = pd.DataFrame({"A": [4.0], "B": [0.0]})
    features(frame)
    assert list(frame.columns) == ["A", "B"]
